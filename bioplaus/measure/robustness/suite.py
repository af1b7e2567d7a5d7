"""All attacks on one net at one radius, example by example: the evidence for a claim of robustness.

    the gradient   FGSM; PGD from many starts, the even ones on the loss, the odd ones on the
                   margin, which does not saturate
    other nets     adversarial examples made by PGD on the net's twin that was trained by backprop
                   and on nets of other seeds, tried on this net
    queries        Square, which reads the margin; ray search, which reads the class alone; random
                   signs; random points of the ball
Call `check_gradient` first: an attack that follows a false gradient does not measure robustness.
All restarts and radii share one compiled program.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.batches import as_batch
from bioplaus.hyper import hyperparameters
from bioplaus.losses import of_answers
from bioplaus.measure.accuracy import Answer, correct
from bioplaus.measure.robustness.attacks import (
    BOUNDS,
    SINGLE_TRY,
    Attack,
    fgsm,
    margin,
    pgd,
    random_ball,
    random_signs,
)
from bioplaus.outputs import Kind, kind_of
from bioplaus.salts import CLIMB, FGSM, JUDGE, OTHER, SAMPLE, STILL
from bioplaus.types import Array, Batch, Key, Loss


class Budget(NamedTuple):
    """Every hyperparameter of `suite`, in the L-infinity ball.

    epsilon: radius, as a fraction of the range of the inputs.
    steps, restarts: of PGD, whose step size is 2.5 epsilon / steps.
    queries: of Square and of the ray search, each.
    samples: random perturbations per example, half of them signs, half points of the ball.
    draws: noise samples over which each gradient and each answer is averaged; 1 for a net without
    noise.
    bounds: smallest and largest value of the inputs.
    """

    epsilon: float
    steps: int = 40
    restarts: int = 5
    queries: int = 1000
    samples: int = 100
    draws: int = 1
    bounds: tuple[float, float] = BOUNDS


class Suite(NamedTuple):
    """The results of `suite`.

    Arrays [2, R, B] say how often the answer to each of R tries on an example was correct: 1 or 0,
    or a mean over noise samples. The first half is for choosing the worst try, the second, drawn
    independently, for reporting it: otherwise choosing would count noise as an attack.

    further: PGD from as many restarts again. longer: PGD restarts of twice the steps.
    sweep: one restart of PGD at each of `radii(budget)`.
    transfer: PGD on each source; R = 0 without sources.
    single_try: the attacks of `SINGLE_TRY`, by name.
    fixed: PGD on the net with one noise sample kept fixed, and answers with that sample; None if
    draws = 1.
    blind: [B], whether the gradients of the loss and of the margin are both exactly zero.
    softmax: [B], whether the outputs are probabilities.
    noise: largest difference between two answers to the same input.
    """

    clean: Array
    fgsm: Array
    pgd: Array
    further: Array
    longer: Array
    sweep: Array
    transfer: Array
    single_try: dict[str, Array]
    random_signs: Array
    random_ball: Array
    fixed: Array | None
    blind: Array
    softmax: Array
    noise: Array


def settings_of(attack: Attack, budget: Budget) -> dict[str, Any]:
    """The hyperparameters, except the radius, of an attack of `SINGLE_TRY`.

    They are those of the budget that have the same name, else the attack's defaults.
    """
    numbers = hyperparameters(attack)
    return {n: getattr(budget, n, h.default) for n, h in numbers.items() if n != "epsilon"}


def radii(budget: Budget) -> tuple[float, ...]:
    """The radii of the sweep that belongs to a claim, as fractions of the range of the inputs.

    The third is epsilon. At the last, every image can be made uniformly grey.
    """
    epsilon = budget.epsilon
    return (epsilon / 4, epsilon / 2, epsilon, max(2 * epsilon, 0.5))


class _Target(NamedTuple):
    """The net under attack. epsilon: radius in units of x; kind: what the outputs are."""

    predict: Answer
    loss: Loss
    kind: Kind
    x: Array
    y: Array
    key: Key
    budget: Budget
    epsilon: float

    def key_of(self, salt: int) -> Key:
        return jax.random.fold_in(self.key, salt)

    def margin(self, output: Array, y: Array) -> Array:
        return margin(output, y, of=self.kind)

    def climb(
        self,
        attack: Attack,
        answer: Answer,
        radius: ArrayLike,
        r: int | Array,
        steps: ArrayLike,
        draws: int,
    ) -> Array:
        """Adversarial examples of restart r. Its start does not depend on the number of steps, so
        that attacks of different lengths differ in that alone.
        """

        def aim(output: Array, y: Array) -> Array:
            return jnp.where(r % 2, self.margin(output, y), self.loss(output, y))

        return attack(
            answer,
            aim,
            self.x,
            self.y,
            jax.random.fold_in(self.key_of(CLIMB), r),
            epsilon=radius,
            steps=steps,
            draws=draws,
            bounds=self.budget.bounds,
        )

    def judge(self, moved: Array, answer: Answer) -> Array:
        """[2, B]: how often the answer is correct, over two sets of noise samples."""
        draws = self.budget.draws

        def right(d: Array) -> Array:
            noise_key = jax.random.fold_in(self.key_of(JUDGE), d)
            return correct(answer(moved, noise_key), self.y, self.kind)

        return jax.lax.map(right, jnp.arange(2 * draws)).reshape(2, draws, -1).mean(1)

    def tried(self, attack: Callable[..., Array], *over: Array) -> Array:
        """[2, R, B]: attack(r) for each of R, made and judged one after the other."""
        return jax.lax.map(lambda o: self.judge(attack(*o), self.predict), over).swapaxes(0, 1)


def suite(
    predict: Answer,
    loss: Loss,
    batch: Batch,
    key: Key,
    budget: Budget,
    sources: Sequence[Answer] = (),
    white: Attack = pgd,
) -> Suite:
    """Attack a net in every way. jit and vmap (over seeds) apply; `claim` reads the result.

    sources: nets whose adversarial examples are tried on this one, such as the twin trained by
    backprop and other seeds. white: the attack by the gradient; with any other than `pgd` the
    result is a diagnostic. Raises ValueError unless every number of the budget is above 0, and its
    bounds in order.
    """
    if min(budget[:-1]) <= 0 or not budget.bounds[0] < budget.bounds[1]:
        raise ValueError(
            f"suite: got {budget}; every number must be above 0, and the bounds (low, high)"
        )
    loss, (x, y) = of_answers(loss), as_batch(batch)[:2]
    unit = budget.bounds[1] - budget.bounds[0]  # attacks take their radius in units of x
    target = _Target(
        predict, loss, kind_of(loss, "suite"), x, y, key, budget, unit * budget.epsilon
    )
    n = budget.restarts
    climbed = _restarts(target, white)
    random = target.tried(partial(_random, target), jnp.arange(2 * -(-budget.samples // 2)))
    once = target.tried(lambda moved: moved, jnp.stack(_single_tries(target, sources)))

    def fixed(x: Array, key: Key) -> Array:
        del key
        return predict(x, target.key_of(STILL))

    outputs = fixed(x, key)
    before = 2 + len(SINGLE_TRY)  # the inputs unchanged, FGSM, and the single tries
    return Suite(
        clean=once[:, :1],
        fgsm=once[:, 1:2],
        pgd=climbed[:, :n],
        further=climbed[:, n : 2 * n],
        longer=climbed[:, 2 * n : 3 * n],
        sweep=jnp.insert(climbed[:, 3 * n :], 2, climbed[:, 0], axis=1),
        transfer=once[:, before:],
        single_try={name: once[:, 2 + i : 3 + i] for i, name in enumerate(SINGLE_TRY)},
        random_signs=random[:, ::2],
        random_ball=random[:, 1::2],
        fixed=target.judge(target.climb(white, fixed, target.epsilon, 0, budget.steps, 1), fixed)[
            :, None
        ]
        if budget.draws > 1
        else None,
        blind=_blind(target),
        softmax=(outputs >= 0).all(1) & (jnp.abs(outputs.sum(1) - 1) < 1e-3),
        noise=jnp.abs(outputs - predict(x, target.key_of(OTHER))).max(),
    )


def _restarts(target: _Target, white: Attack) -> Array:
    """[2, R, B]: results of the attack by the gradient.

    There are 2 n starts, then n starts with twice the steps, then one at each radius of the sweep
    except epsilon. n: the budget's restarts.
    """
    budget, epsilon = target.budget, target.epsilon
    n, steps, unit = budget.restarts, budget.steps, budget.bounds[1] - budget.bounds[0]
    others = [unit * radius for radius in radii(budget) if radius != budget.epsilon]
    runs = (
        [(epsilon, r, steps) for r in range(2 * n)]
        + [(epsilon, r, 2 * steps) for r in range(n)]
        + [(radius, 0, steps) for radius in others]
    )
    sizes, starts, lengths = zip(*runs, strict=True)
    return target.tried(
        partial(target.climb, white, target.predict, draws=budget.draws),
        jnp.asarray(sizes, target.x.dtype),
        jnp.asarray(starts),
        jnp.asarray(lengths),
    )


def _random(target: _Target, r: Array) -> Array:
    """Random signs for an even r, a random point of the ball for an odd one."""
    key = jax.random.fold_in(target.key_of(SAMPLE), r)
    given = (target.predict, target.loss, target.x, target.y, key)
    at = {"epsilon": target.epsilon, "bounds": target.budget.bounds}
    return jnp.where(r % 2, random_ball(*given, **at), random_signs(*given, **at))


def _single_tries(target: _Target, sources: Sequence[Answer]) -> list[Array]:
    """The inputs unchanged, and as changed by FGSM, `SINGLE_TRY` and PGD on each source."""
    budget = target.budget
    given = (target.predict, target.loss, target.x, target.y)
    at = {"epsilon": target.epsilon, "bounds": budget.bounds}
    return [
        target.x,
        fgsm(*given, target.key_of(FGSM), draws=budget.draws, **at),
        *(
            one.attack(*given, target.key_of(one.salt), **at, **settings_of(one.attack, budget))
            for one in SINGLE_TRY.values()
        ),
        *(
            target.climb(pgd, source, target.epsilon, 0, budget.steps, budget.draws)
            for source in sources
        ),
    ]


def _blind(target: _Target) -> Array:
    """`Suite.blind`. A gradient that is not finite counts as zero."""

    def slope(aim: Loss) -> Array:
        return jax.grad(lambda x: aim(target.predict(x, target.key_of(STILL)), target.y).sum())(
            target.x
        )

    blind = [
        ((g == 0) | ~jnp.isfinite(g)).reshape(len(target.x), -1).all(1)
        for g in (slope(target.loss), slope(target.margin))
    ]
    return blind[0] & blind[1]

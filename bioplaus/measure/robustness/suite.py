"""Every attack on a net at one radius, example by example: what a claim of robustness is made of.

    the gradient   FGSM; PGD from many starts, the even ones on the loss L, the odd ones on the
        margin, which does not saturate
    other nets     PGD on the backprop twin and on other seeds, tried on this net
    queries        Square by the margin, ray search by the class alone, random signs, random points
        of the ball
Call `check_gradient` first: no attack by a false gradient measures robustness. All restarts and
radii share one program.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.entry import as_batch
from bioplaus.hyper import hyperparameters
from bioplaus.losses import per_example
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
from bioplaus.outputs import kind_of
from bioplaus.salts import CLIMB, FGSM, JUDGE, OTHER, SAMPLE, STILL
from bioplaus.types import Array, Batch, Key, Loss


class Budget(NamedTuple):
    """Every hyperparameter of `suite`, in the L-infinity ball.

    epsilon: radius, as a fraction of the range of the inputs. steps: of PGD, alpha = 2.5 epsilon /
    steps. restarts: of PGD.
    queries: of Square and of the ray search, each. samples: random ones an example, half signs,
    half points of the ball. draws: noise samples of a gradient and of an answer; 1 for a net
    without noise. bounds: least and largest value of the inputs.
    """

    epsilon: float
    steps: int = 40
    restarts: int = 5
    queries: int = 1000
    samples: int = 100
    draws: int = 1
    bounds: tuple[float, float] = BOUNDS


class Suite(NamedTuple):
    """What `suite` found. Arrays [2, R, B] say how often the answer to each of R tries on an
    example was right: 1 or 0, or a mean over noise samples. The first half is to choose a try by,
    the second to report what was chosen: else noise would be an attack.

    further: as many restarts again. longer: restarts of twice the steps. sweep: one restart at each
    of `radii(budget)`.
    transfer: PGD on each source (none: R = 0). single_try: the attacks of `SINGLE_TRY`, by name.
    fixed: PGD on the net at one noise sample for good, judged there; None for draws = 1.
    blind: [B], the gradients of the loss and of the margin are both exactly zero. softmax: [B], the
    outputs are probabilities.
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
    """The numbers that an attack of `SINGLE_TRY` is made with, but for its radius: the budget's
    where it has one, else the default.
    """
    return {
        n: getattr(budget, n, h.default)
        for n, h in hyperparameters(attack).items()
        if n != "epsilon"
    }


def radii(budget: Budget) -> tuple[float, ...]:
    """The radii of the sweep that goes with a claim, as fractions of the range of the inputs; the
    third is epsilon.

    At the last every image can be made plain grey.
    """
    epsilon = budget.epsilon
    return (epsilon / 4, epsilon / 2, epsilon, max(2 * epsilon, 0.5))


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

    sources: nets whose adversarial examples are tried on this one: the backprop twin, other seeds.
    white: the attack by the gradient; any other than `pgd` makes a diagnostic. Raises ValueError
    unless every number is above 0, and the bounds in order.
    """
    if min(budget[:-1]) <= 0 or not budget.bounds[0] < budget.bounds[1]:
        raise ValueError(
            f"suite: got {budget}; every number must be above 0, and the bounds (low, high)"
        )
    loss, bounds, (x, y, _) = per_example(loss), budget.bounds, as_batch(batch)
    unit = bounds[1] - bounds[0]  # attacks take their radius in units of x
    epsilon = unit * budget.epsilon
    kind = kind_of(loss, "suite")
    lead = partial(margin, of=kind)

    def way(i: int) -> Key:
        return jax.random.fold_in(key, i)

    def climb(attack: Attack, answer: Answer, radius, r, steps, draws: int = budget.draws) -> Array:
        """Restart r. The same start, whatever the steps: only what is compared differs."""

        def aim(output, y):
            return jnp.where(r % 2, lead(output, y), loss(output, y))

        return attack(
            answer,
            aim,
            x,
            y,
            jax.random.fold_in(way(CLIMB), r),
            epsilon=radius,
            steps=steps,
            draws=draws,
            bounds=bounds,
        )

    def judge(moved: Array, answer: Answer = predict) -> Array:
        """[2, B]: how often the answer is right, over two sets of noise samples."""

        def right(d):
            return correct(answer(moved, jax.random.fold_in(way(JUDGE), d)), y, kind)

        return jax.lax.map(right, jnp.arange(2 * budget.draws)).reshape(2, budget.draws, -1).mean(1)

    def tried(attack, *over: Array) -> Array:
        """[2, R, B]: attack(r) for each of R, made and judged one after the other."""
        return jax.lax.map(lambda o: judge(attack(*o)), over).swapaxes(0, 1)

    n, steps = budget.restarts, budget.steps
    others = [unit * radius for radius in radii(budget) if radius != budget.epsilon]
    runs = (
        [(epsilon, r, steps) for r in range(2 * n)]
        + [(epsilon, r, 2 * steps) for r in range(n)]
        + [(a, 0, steps) for a in others]
    )
    sizes, starts, lengths = zip(*runs, strict=True)
    climbed = tried(
        partial(climb, white, predict),
        jnp.asarray(sizes, x.dtype),
        jnp.asarray(starts),
        jnp.asarray(lengths),
    )

    def random(r):
        k = jax.random.fold_in(way(SAMPLE), r)
        return jnp.where(
            r % 2,
            *(
                draw(predict, loss, x, y, k, epsilon=epsilon, bounds=bounds)
                for draw in (random_ball, random_signs)
            ),
        )

    sampled = tried(random, jnp.arange(2 * -(-budget.samples // 2)))
    moved = [
        x,
        fgsm(predict, loss, x, y, way(FGSM), epsilon=epsilon, draws=budget.draws, bounds=bounds),
        *(
            one.attack(
                predict,
                loss,
                x,
                y,
                way(one.salt),
                epsilon=epsilon,
                bounds=bounds,
                **settings_of(one.attack, budget),
            )
            for one in SINGLE_TRY.values()
        ),
        *(climb(pgd, source, epsilon, 0, steps) for source in sources),
    ]
    once = tried(lambda moved: moved, jnp.stack(moved))

    def still(x, key):
        del key
        return predict(x, way(STILL))

    slopes = [
        jax.grad(lambda x, aim=aim: aim(predict(x, way(STILL)), y).sum())(x) for aim in (loss, lead)
    ]
    blind = [((g == 0) | ~jnp.isfinite(g)).reshape(len(x), -1).all(1) for g in slopes]
    outputs = predict(x, way(STILL))
    ahead = 2 + len(SINGLE_TRY)  # x itself and FGSM
    return Suite(
        clean=once[:, :1],
        fgsm=once[:, 1:2],
        pgd=climbed[:, :n],
        further=climbed[:, n : 2 * n],
        longer=climbed[:, 2 * n : 3 * n],
        sweep=jnp.insert(climbed[:, 3 * n :], 2, climbed[:, 0], axis=1),
        transfer=once[:, ahead:],
        single_try={name: once[:, 2 + i : 3 + i] for i, name in enumerate(SINGLE_TRY)},
        random_signs=sampled[:, ::2],
        random_ball=sampled[:, 1::2],
        fixed=judge(climb(white, still, epsilon, 0, steps, 1), still)[:, None]
        if budget.draws > 1
        else None,
        blind=blind[0] & blind[1],
        softmax=(outputs >= 0).all(1) & (jnp.abs(outputs.sum(1) - 1) < 1e-3),
        noise=jnp.abs(outputs - predict(x, way(OTHER))).max(),
    )

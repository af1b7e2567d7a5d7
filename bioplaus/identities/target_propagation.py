"""Target propagation: identities and negative controls.

The teaching signals are read off the gradients of the biases: with one example and linear neurons,
they are (h_l - t_l) / eta.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from bioplaus.identities.any_net import apart, same, settings
from bioplaus.identities.common import (
    LINEAR,
    TANH,
    Check,
    Family,
    Problem,
    convolutional,
    cosine,
    equal,
    float64,
    gradient,
    large,
    pose,
    problem,
    relative,
    slope,
    small,
    truth,
)
from bioplaus.identities.targets_by_hand import (
    Reconstruction,
    biased,
    by_targets,
    descent,
    difference_reconstruction,
    error,
    frozen,
    inverse,
    jacobian_matching,
    layer,
    live,
    outputs,
    own,
    reconstruction,
)
from bioplaus.layers import mlp
from bioplaus.losses import mse
from bioplaus.net import forward
from bioplaus.types import PyTree, RuleFactory

ETAS = [1e-1, 1e-2, 1e-3]


def tp_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be vanilla target propagation."""
    yield from sent("tp", factory, corrected=False)
    yield from taught_inverses("tp", factory, reconstruction)
    p, exact = invertible()
    yield equal(
        "tp",
        "exact inverses: f(t_l) = t_{l+1}",
        *images(p, gradient(factory, p, exact, eta=0.3, feedback_steps=0)[0], 0.3),
        1e-12,
    )
    got, want = images(p, gradient(factory, p, unbiased(exact), eta=0.3, feedback_steps=0)[0], 0.3)
    yield large(
        "tp", "inverses off by a constant: f(t_l) is not t_{l+1}", relative(got, want), 0.01
    )


def dtp_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be difference target propagation."""
    yield from sent("dtp", factory)
    yield from transposed("dtp", factory)
    yield from from_the_top(factory)
    yield from taught_inverses("dtp", factory, reconstruction)
    p, exact = invertible()
    for name, change in (
        ("exact inverses", exact),
        ("inverses off by a constant", unbiased(exact)),
    ):
        grads = gradient(factory, p, change, eta=0.3, feedback_steps=0)[0]
        yield equal("dtp", f"{name}: f(t_l) = t_{{l+1}}", *images(p, grads, 0.3), 1e-12)
    jacobian = p.params[1]["w"] @ p.params[2]["w"]
    newton = error(p) @ jnp.linalg.inv(jacobian)
    yield equal(
        "dtp", "linear net: dh_1 = J^-1 e, the Gauss-Newton step", grads[0]["b"], newton[0], 1e-12
    )
    yield large("dtp", "which is not backprop: 1 - cosine", 1 - cosine(grads[0], truth(p)[0]), 0.2)
    before, after = jacobian_cosines(factory, sigma=0.1)
    yield large(
        "dtp",
        "learning does not bring the inverses' Jacobian to the transpose: 1 - cosine",
        1 - after,
        0.1,
    )
    before, after = inversion_errors(factory)
    yield small(
        "dtp",
        "but to the inverse: |g(f(h)) - h| after learning over that before",
        after / before,
        0.2,
    )


def drl_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to learn its inverses by the difference reconstruction
    loss.
    """
    yield from sent("drl", factory)
    yield from transposed("drl", factory)
    yield from taught_inverses("drl", factory, difference_reconstruction)
    p = pose(problem((9, 8, 5, 2), neuron=LINEAR).net, (64, 9), 2, mse, gain=1.0)
    _, state = learned(factory, p)
    products = [p.params[1]["w"] @ p.params[2]["w"], p.params[2]["w"]]
    chains = [state.feedback[2]["w"].T @ state.feedback[1]["w"].T, state.feedback[2]["w"].T]
    for l, (forth, back) in enumerate(zip(products, chains, strict=True), 1):
        name = (
            f"linear net: from the output to layer {l}, the inverses become the pseudo-inverse of"
            " the net"
        )
        yield equal("drl", name, back, jnp.linalg.pinv(forth), 0.05)
        yield large(
            "drl", f"and not the transpose: 1 - cosine, layer {l}", 1 - cosine(back, forth.T), 0.01
        )


def ldrl_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to learn its inverses by the local difference reconstruction
    loss.
    """
    yield from sent("ldrl", factory)
    yield from transposed("ldrl", factory)
    yield from taught_inverses("ldrl", factory, jacobian_matching)
    before, after = jacobian_cosines(factory, sigma=0.1)
    yield large(
        "ldrl", "at first the inverses' Jacobian is not the transpose: 1 - cosine", 1 - before, 0.5
    )
    yield small("ldrl", "learning brings it there: 1 - cosine", 1 - after, 0.05)


def tp_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Vanilla target propagation on a net of the caller's."""
    yield from on_net("tp", factory, p, reconstruction, corrected=False)


def dtp_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Difference target propagation on a net of the caller's."""
    yield from on_net("dtp", factory, p, reconstruction)


def drl_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """The difference reconstruction loss on a net of the caller's."""
    yield from on_net("drl", factory, p, difference_reconstruction)


def ldrl_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """The local difference reconstruction loss on a net of the caller's."""
    yield from on_net("ldrl", factory, p, jacobian_matching)


def on_net(
    key: str, factory: RuleFactory, p: Problem, lesson: Reconstruction, *, corrected: bool = True
) -> Iterator[Check]:
    """Targets and inverses on a net of the caller's, with its noise, at the factory's eta and
    sigma.
    """
    hyper = settings(factory)
    rule = factory(p.net, p.loss, tx=optax.sgd(1.0), feedback_steps=1, sample=frozen)
    state = biased(float64(rule.init(jax.random.key(6), p.params, p.batch)))
    grads, after, _ = jax.jit(rule.grad)(p.params, state, p.batch, p.key)
    want = by_targets(
        p, state, hyper["eta"], corrected, hyper.get("top_gradient", False) and len(p.net) > 1
    )
    yield same(key, "jax.grad of 1/2 |h_l - t_l|^2, targets by hand", grads, want)
    if len(p.net) > 1:
        slopes = jax.jit(lambda s: descent(p, s, hyper["sigma"], lesson))(state)
        first = jax.tree.map(jnp.subtract, own(state), own(after))
        # B_{l+1} and c_l, one pair a hidden layer
        got, want = (list(zip(*tree, strict=True)) for tree in (first, slopes))
        yield same(key, "the inverses descend R_l by jax.grad", got, want, 1e-8)
    yield from apart(key, p, grads)


def sent(key: str, factory: RuleFactory, *, corrected: bool = True) -> Iterator[Check]:
    """The updates at random B and c against targets computed by hand; the step, the control, and
    the gate.
    """
    for name, p in (("perceptron", problem()), ("convolutions and pooling", convolutional())):
        grads, state, _ = gradient(factory, p, biased, eta=0.3, feedback_steps=0)
        yield equal(
            key,
            f"targets by hand at random B, {name}",
            grads,
            by_targets(p, state, 0.3, corrected),
            1e-11,
        )
    p = problem()
    at = jax.jit(lambda eta: gradient_at(factory, p, eta))
    grads, state = at(ETAS[0])
    if corrected:
        limit = by_targets(p, state, 1e-7, corrected)
        errors = [relative(at(eta)[0][:-1], limit[:-1]) for eta in ETAS]
        yield small(
            key,
            "the update tends to that of the inverses' Jacobians: |order in eta - 1|",
            abs(slope(ETAS, errors) - 1),
            0.1,
        )
    yield equal(key, "the last layer learns by its error", grads[-1], truth(p)[-1], 1e-12)
    alike = max(abs(cosine(g, t)) for g, t in zip(grads[:-1], truth(p)[:-1], strict=True))
    yield large(key, "hidden layers at random B: 1 - |cosine| to backprop", 1 - alike, 0.5)


def gradient_at(factory: RuleFactory, p: Problem, eta: ArrayLike) -> tuple[PyTree, PyTree]:
    """Gradients at an eta that may be a tracer, and the state they were computed at."""
    rule = factory(p.net, p.loss, eta=eta, feedback_steps=0)
    state = biased(rule.init(jax.random.key(6), p.params, p.batch))
    return rule.grad(p.params, state, p.batch, p.key)[0], state


def transposed(key: str, factory: RuleFactory) -> Iterator[Check]:
    """Where the Jacobians of the inverses are the transposes of the net's."""
    p = problem((12, 20, 16, 8, 5), neuron=LINEAR)
    for eta in (0.1, 2.0):
        grads = gradient(
            factory,
            p,
            lambda s: s._replace(feedback=((), *p.params[1:])),
            eta=eta,
            feedback_steps=0,
        )[0]
        yield equal(key, f"backprop on a linear net at B = W, eta {eta:g}", grads, truth(p), 1e-12)


def from_the_top(factory: RuleFactory) -> Iterator[Check]:
    """The option `top_gradient`: the first target is the last hidden layer's, by its gradient, and
    the others are as before.
    """
    p = pose(mlp((12, 20, 16, 5), TANH, output=TANH), (8, 12), 5)
    grads, state, _ = gradient(factory, p, biased, eta=0.3, feedback_steps=0, top_gradient=True)
    yield equal(
        "dtp",
        "top_gradient: targets by hand at random B",
        grads,
        by_targets(p, state, 0.3, True, True),
        1e-11,
    )
    yield equal(
        "dtp",
        "top_gradient: the last hidden layer learns as in backprop",
        grads[1:],
        truth(p)[1:],
        1e-12,
    )
    below = [
        abs(cosine(grads[0], other)) for other in (truth(p)[0], by_targets(p, state, 0.3, True)[0])
    ]
    yield large("dtp", "top_gradient: those below do not, 1 - |cosine|", 1 - below[0], 0.5)
    yield large("dtp", "top_gradient: nor as they do without it, 1 - |cosine|", 1 - below[1], 0.1)


def taught_inverses(key: str, factory: RuleFactory, lesson: Reconstruction) -> Iterator[Check]:
    """Descent with momentum on the inverses, at known noise, against `jax.grad` of R_l; and nothing
    else learns by it.
    """
    for name, p in (("perceptron", problem()), ("convolutions and pooling", convolutional())):
        hyper = {"tx": optax.sgd(1.0, momentum=0.5), "sigma": 0.3, "sample": frozen}
        rule = factory(p.net, p.loss, **hyper)
        state, step = biased(rule.init(jax.random.key(6), p.params, p.batch)), jax.jit(rule.grad)
        slopes = jax.jit(lambda s, p=p: live(descent(p, s, 0.3, lesson)))
        grads, after, _ = step(p.params, state, p.batch, p.key)
        first = moved(state, after)
        yield equal(
            key, f"the inverses descend R_l by jax.grad, {name}", first, slopes(state), 1e-9
        )
        if name == "perceptron":
            closed = step(p.params, state, p.batch, p.key, 0.0)[1]
            yield equal(
                key, "a closed gate stops the inverses", live(own(closed)), live(own(state)), 0.0
            )
            none = jax.jit(factory(p.net, p.loss, feedback_steps=0).grad)(
                p.params, state, p.batch, p.key
            )[0]
            yield equal(key, "their learning leaves the net's gradients alone", grads, none, 1e-12)
            later = step(p.params, after, p.batch, p.key)[1]
            want = [g + 0.5 * f for g, f in zip(slopes(after), first, strict=True)]
            yield equal(
                key, "their momentum lasts until the next batch", moved(after, later), want, 1e-9
            )
            twice = jax.jit(factory(p.net, p.loss, **hyper, feedback_steps=2).grad)(
                p.params, state, p.batch, p.key
            )[1]
            yield equal(
                key, "two feedback steps at once are two in turn", moved(after, twice), want, 1e-9
            )


def moved(before: PyTree, after: PyTree) -> list[jax.Array]:
    """How far down the inverses went between two states."""
    return live(jax.tree.map(jnp.subtract, own(before), own(after)))


def invertible() -> tuple[Problem, Callable[[PyTree], PyTree]]:
    """A linear net of square layers, one example, and the change of state that makes its inverses
    exact.
    """
    p = pose(problem((5, 5, 5, 5), neuron=LINEAR).net, (1, 5), 5, mse, gain=1.0)

    def exact(state):
        inverses = [jnp.linalg.inv(w["w"]) for w in p.params[1:]]
        feedback = [
            b | {"w": inverse.T} for b, inverse in zip(state.feedback[1:], inverses, strict=True)
        ]
        bias = [-w["b"] @ inverse for w, inverse in zip(p.params[1:], inverses, strict=True)]
        return state._replace(feedback=((), *feedback), bias=tuple(bias))

    return p, exact


def unbiased(exact: Callable[[PyTree], PyTree]) -> Callable[[PyTree], PyTree]:
    """Inverses without their biases: off by a constant."""
    return lambda state: exact(state)._replace(bias=state.bias)


def images(p: Problem, grads: PyTree, eta: float) -> tuple[list[jax.Array], list[jax.Array]]:
    """f(t_l) and t_{l+1} of the linear net of `invertible`, one for each hidden layer."""
    trace = forward(p.net, p.params, p.batch.x, p.key)
    targets = [
        h - eta * g["b"] for h, g in zip((*trace.inputs[1:], trace.output), grads, strict=True)
    ]
    return [t @ w["w"] + w["b"] for t, w in zip(targets[:-1], p.params[1:], strict=True)], targets[
        1:
    ]


def learned(
    factory: RuleFactory, p: Problem, steps: int = 400, **hyper: Any
) -> tuple[PyTree, PyTree]:
    """The state before and after the inverses have learned at fixed weights of the net."""
    tx = optax.adam(optax.exponential_decay(0.03, steps // 8, 0.5))
    rule = factory(p.net, p.loss, tx=tx, **hyper)

    def body(state, key):
        return rule.grad(p.params, state, p.batch, key)[1], None

    state, keys = (
        rule.init(jax.random.key(6), p.params, p.batch),
        jax.random.split(jax.random.key(9), steps),
    )
    return state, jax.jit(lambda s: jax.lax.scan(body, s, keys)[0])(state)


def jacobian_cosines(factory: RuleFactory, **hyper: Any) -> list[float]:
    """Cosine between the Jacobian of g_l and the transpose of f's, the worst hidden layer, before
    and after learning.
    """
    p = problem((6, 5, 4, 3), examples=64)
    h = outputs(p, p.params)

    def pair(state, l):
        f = jax.vmap(jax.jacrev(lambda x: layer(p, l + 1, p.params[l + 1], x[None])[0]))(h[l])
        g = jax.vmap(jax.jacrev(lambda u, x: inverse(p, l, own(state), x[None], u[None])[0]))(
            h[l + 1], h[l]
        )
        return g, jnp.swapaxes(f, 1, 2)

    jacobians = jax.jit(lambda state: [pair(state, l) for l in range(len(h) - 1)])

    return [
        min(cosine(g, f) for g, f in jacobians(state)) for state in learned(factory, p, **hyper)
    ]


def inversion_errors(factory: RuleFactory) -> list[float]:
    """|g_l(f(h_l)) - h_l| over all hidden layers of a net that grows, so that its layers can be
    inverted; before, after learning.
    """
    p = problem((3, 4, 6, 8), neuron=LINEAR, examples=64)
    h = outputs(p, p.params)

    @jax.jit
    def total(state):
        return sum(
            jnp.linalg.norm(inverse(p, l, own(state), h[l], h[l + 1]) - h[l])
            for l in range(len(h) - 1)
        )

    return [float(total(state)) for state in learned(factory, p)]


LEARNED = {
    "credit": "targets through learned inverses",
    "equals": "never: Gauss-Newton, at exact inverses",
}
TRAINED = "targets through inverses trained for it"
FAMILIES = {
    "tp": Family(tp_checks, tp_on_net, **LEARNED),
    "dtp": Family(dtp_checks, dtp_on_net, **LEARNED),
    "drl": Family(drl_checks, drl_on_net, credit=TRAINED, equals="never"),
    "ldrl": Family(
        ldrl_checks,
        ldrl_on_net,
        credit=TRAINED,
        equals="its inverses lead there: linear net and B = W",
    ),
}

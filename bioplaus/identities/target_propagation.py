"""Target propagation: identities and negative controls.

With one example and linear neurons, the gradients of the biases are the teaching signals,
(h_l - t_l) / eta, with t_l the target of layer l.
"""

from collections.abc import Iterator

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
from bioplaus.identities.feedback_alignment import away
from bioplaus.identities.learned_inverses import (
    inversion_errors,
    jacobian_cosines,
    learned,
    taught_inverses,
)
from bioplaus.identities.targets_by_hand import (
    InverseLoss,
    biased,
    by_targets,
    descent,
    difference_reconstruction,
    error,
    fixed_noise,
    images,
    invertible,
    jacobian_matching,
    reconstruction,
    trained,
    unbiased,
)
from bioplaus.layers import mlp
from bioplaus.losses import mse
from bioplaus.types import PyTree, RuleFactory

ETAS = [1e-1, 1e-2, 1e-3]


def tp_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be vanilla target propagation."""
    yield from sent("tp", factory, corrected=False)
    yield from taught_inverses("tp", factory, reconstruction)
    p, exact = invertible()
    yield equal(
        "tp",
        "exact inverses: layer l + 1 maps target t_l to t_{l+1}",
        *images(p, gradient(factory, p, exact, eta=0.3, feedback_steps=0)[0], 0.3),
        1e-12,
    )
    got, want = images(p, gradient(factory, p, unbiased(exact), eta=0.3, feedback_steps=0)[0], 0.3)
    yield large(
        "tp",
        "inverses off by a constant: layer l + 1 does not map t_l to t_{l+1}",
        relative(got, want),
        0.01,
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
        yield equal(
            "dtp",
            f"{name}: layer l + 1 maps target t_l to t_{{l+1}}",
            *images(p, grads, 0.3),
            1e-12,
        )
    jacobian = p.params[1]["w"] @ p.params[2]["w"]
    newton = error(p) @ jnp.linalg.inv(jacobian)
    yield equal(
        "dtp",
        "linear net: the signal of layer 1 is J^-1 e, the Gauss-Newton step",
        grads[0]["b"],
        newton[0],
        1e-12,
    )
    yield large(
        "dtp",
        "linear net, exact inverses: 1 - cosine to backprop, first layer",
        1 - cosine(grads[0], truth(p)[0]),
        0.2,
    )
    before, after = jacobian_cosines(factory, sigma=0.1)
    yield large(
        "dtp",
        "learned inverses: 1 - cosine of their Jacobian to the transpose",
        1 - after,
        0.1,
    )
    before, after = inversion_errors(factory)
    yield small(
        "dtp",
        "learned inverses g of f: |g(f(h)) - h| over that before learning",
        after / before,
        0.2,
    )


def drl_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to use the difference reconstruction loss."""
    yield from sent("drl", factory)
    yield from transposed("drl", factory)
    yield from taught_inverses("drl", factory, difference_reconstruction)
    p = pose(problem((9, 8, 5, 2), neuron=LINEAR).net, (64, 9), 2, mse, gain=1.0)
    _, state = learned(factory, p)
    products = [p.params[1]["w"] @ p.params[2]["w"], p.params[2]["w"]]
    chains = [state.feedback[2]["w"].T @ state.feedback[1]["w"].T, state.feedback[2]["w"].T]
    for l, (forth, back) in enumerate(zip(products, chains, strict=True), 1):
        name = f"linear net: inverses from output to layer {l} learn the pseudo-inverse"
        yield equal("drl", name, back, jnp.linalg.pinv(forth), 0.05)
        yield large(
            "drl",
            f"linear net: inverses to layer {l}: 1 - cosine to the transpose",
            1 - cosine(back, forth.T),
            0.01,
        )


def ldrl_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to use the local difference reconstruction loss."""
    yield from sent("ldrl", factory)
    yield from transposed("ldrl", factory)
    yield from taught_inverses("ldrl", factory, jacobian_matching)
    before, after = jacobian_cosines(factory, sigma=0.1)
    yield large(
        "ldrl", "initial inverses: 1 - cosine of their Jacobian to the transpose", 1 - before, 0.5
    )
    yield small(
        "ldrl", "learned inverses: 1 - cosine of their Jacobian to the transpose", 1 - after, 0.05
    )


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
    key: str, factory: RuleFactory, p: Problem, inverse_loss: InverseLoss, *, corrected: bool = True
) -> Iterator[Check]:
    """Targets and inverses on a net of the caller's, with its noise, at the factory's settings."""
    hyper = settings(factory)
    rule = factory(p.net, p.loss, tx=optax.sgd(1.0), feedback_steps=1, sample=fixed_noise)
    state = biased(float64(rule.init(jax.random.key(6), p.params, p.batch)))
    grads, after, _ = jax.jit(rule.grad)(p.params, state, p.batch, p.key)
    want = by_targets(
        p, state, hyper["eta"], corrected, hyper.get("top_gradient", False) and len(p.net) > 1
    )
    yield same(key, "dW equals jax.grad of 1/2 |h_l - t_l|^2, targets t_l by hand", grads, want)
    if len(p.net) > 1:
        slopes = jax.jit(lambda s: descent(p, s, hyper["sigma"], inverse_loss))(state)
        first = jax.tree.map(jnp.subtract, trained(state), trained(after))
        # (B_{l+1}, c_l), one pair for each hidden layer
        got, want = (list(zip(*tree, strict=True)) for tree in (first, slopes))
        yield same(key, "the step of the inverses equals jax.grad of R_l", got, want, 1e-8)
    yield from apart(key, p, grads)


def sent(key: str, factory: RuleFactory, *, corrected: bool = True) -> Iterator[Check]:
    """The updates at random B and c against targets computed by hand."""
    for name, p in (("perceptron", problem()), ("convolutions and pooling", convolutional())):
        grads, state, _ = gradient(factory, p, biased, eta=0.3, feedback_steps=0)
        yield equal(
            key,
            f"dW equals that of targets by hand, random B, {name}",
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
            "error to the update at eta -> 0 is O(eta): |order - 1|",
            abs(slope(ETAS, errors) - 1),
            0.1,
        )
    yield equal(key, "the last layer equals backprop", grads[-1], truth(p)[-1], 1e-12)
    yield away(key, grads, truth(p))


def gradient_at(factory: RuleFactory, p: Problem, eta: ArrayLike) -> tuple[PyTree, PyTree]:
    """The gradients at an eta that may be a tracer, and the state before the step."""
    rule = factory(p.net, p.loss, eta=eta, feedback_steps=0)
    state = biased(rule.init(jax.random.key(6), p.params, p.batch))
    return rule.grad(p.params, state, p.batch, p.key)[0], state


def transposed(key: str, factory: RuleFactory) -> Iterator[Check]:
    """Backprop, where the Jacobians of the inverses are the transposes of those of the net."""
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
    """The option `top_gradient`: the target of the last hidden layer follows its gradient.

    The targets below follow from it as without the option.
    """
    p = pose(mlp((12, 20, 16, 5), TANH, output=TANH), (8, 12), 5)
    grads, state, _ = gradient(factory, p, biased, eta=0.3, feedback_steps=0, top_gradient=True)
    yield equal(
        "dtp",
        "top_gradient: dW equals that of targets by hand, random B",
        grads,
        by_targets(p, state, 0.3, True, True),
        1e-11,
    )
    yield equal(
        "dtp",
        "top_gradient: the last hidden layer equals backprop",
        grads[1:],
        truth(p)[1:],
        1e-12,
    )
    below = [
        abs(cosine(grads[0], other)) for other in (truth(p)[0], by_targets(p, state, 0.3, True)[0])
    ]
    yield large("dtp", "top_gradient: 1 - |cosine| to backprop, first layer", 1 - below[0], 0.5)
    yield large(
        "dtp", "top_gradient: 1 - |cosine| to dW without the option, first layer", 1 - below[1], 0.1
    )


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

"""Direct feedback alignment: identities and negative controls."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import optax

from bioplaus.identities.any_net import apart, current_of, same
from bioplaus.identities.common import (
    LINEAR,
    SIGMOID,
    Check,
    Family,
    Problem,
    by_hand,
    convolutional,
    equal,
    gradient,
    large,
    problem,
    relative,
    small,
    steps,
    truth,
)
from bioplaus.identities.feedback_alignment import away
from bioplaus.losses import cross_entropy, mse
from bioplaus.net import fire, forward, layer_key
from bioplaus.pools import of_sequence
from bioplaus.rules.feedback_alignment import feedback_alignment
from bioplaus.types import Array, Loss, Neuron, PyTree, RuleFactory


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be direct feedback alignment."""
    yield from by_other_rules(factory, LINEAR, cross_entropy, "")
    yield from by_other_rules(factory, SIGMOID, mse, ", sigmoid outputs")

    p = problem()
    grads, state, _ = gradient(factory, p)
    hand = by_hand(p, lambda l, s, e: e @ state.feedback[l])
    yield equal("dfa", "hand-coded direct feedback alignment at random B", grads, hand, 1e-12)
    yield away("dfa", grads, truth(p))
    doubled = gradient(factory, p, scale=2.0)[1]
    yield equal(
        "dfa",
        "scale multiplies B",
        doubled.feedback,
        jax.tree.map(lambda b: 2.0 * b, state.feedback),
        1e-12,
    )

    images = convolutional()
    grads, state, _ = gradient(factory, images)
    yield equal(
        "dfa",
        "jax.grad of a surrogate at random B, convolutions",
        grads,
        surrogate(images, state.feedback),
        1e-12,
    )

    yield small(
        "dfa",
        "later weights change, the error does not: largest relative change of dW_l",
        sensitivity(factory),
        0.0,
    )
    yield large(
        "dfa",
        "the same for feedback alignment: largest relative change of dW_l",
        sensitivity(feedback_alignment),
        1e-3,
    )

    rule = factory(p.net, p.loss)
    state = rule.init(jax.random.key(6), p.params, p.batch)
    params, after = steps(rule, p, state, optax.adamw(1e-2, weight_decay=0.1), 5)
    yield equal("dfa", "B unchanged after 5 steps of AdamW", after.feedback, state.feedback, 0.0)
    yield large(
        "dfa",
        "W changes in 5 steps of AdamW: relative difference",
        relative(params, p.params),
        1e-2,
    )


def by_other_rules(factory: RuleFactory, output: Neuron, loss: Loss, name: str) -> Iterator[Check]:
    """Nets on which it equals backprop, and on which it equals feedback alignment."""
    linear = problem((12, 20, 16, 8, 5), neuron=LINEAR, output=output, loss=loss)
    products = [linear.params[-1]["w"].T]
    for w in reversed(linear.params[1:-1]):
        products.insert(0, products[0] @ w["w"].T)
    grads = gradient(factory, linear, lambda s: s._replace(feedback=tuple(products)))[0]
    yield equal(
        "dfa",
        "backprop with linear hidden layers at B_l = (W_{l+1} ... W_L)^T" + name,
        grads,
        truth(linear),
        1e-12,
    )

    shallow = problem((12, 20, 5), output=output, loss=loss)
    grads, state, _ = gradient(factory, shallow)
    crossed = ((), {"w": state.feedback[0].T, "b": jnp.zeros(5)})
    fa = gradient(feedback_alignment, shallow, lambda s: s._replace(feedback=crossed))[0]
    yield equal(
        "dfa", "feedback alignment with the same B, one hidden layer" + name, grads, fa, 1e-12
    )
    yield large(
        "dfa",
        "one hidden layer: differs from backprop, first layer" + name,
        relative(grads[0], truth(shallow)[0]),
        0.5,
    )


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Direct feedback alignment on a net of the caller's, with its noise."""
    grads, state, _ = gradient(factory, p)
    yield same("dfa", "jax.grad of a surrogate at random B", grads, surrogate(p, state.feedback))
    yield same("dfa", "the last layer equals backprop", grads[-1:], truth(p)[-1:])
    yield from apart("dfa", p, grads)


def surrogate(
    p: Problem, feedback: PyTree, broadcast: Callable[[Array, Array], Array] = lambda e, y: e
) -> PyTree:
    """`jax.grad` of a loss whose gradient is the update of direct feedback alignment.

    It is sum_l <stop(t_l), h_l(stop(h_{l-1}))> / B over hidden layers plus the loss of the last
    layer, with teaching signals t_l = e B_l and e = dL/da_L, a_L the current of the last layer.
    broadcast: (e, y) -> the signal that B_l carries in place of e.
    """
    k, last = [layer_key(p.key, l) for l in range(len(p.net))], len(p.net) - 1

    def loss(params):
        trace = forward(p.net, p.params, p.batch.x, p.key)
        e = jax.grad(lambda a: p.loss(fire(p.net[last], a, k[last]), p.batch.y).sum())(
            trace.currents[last]
        )
        h = [
            of_sequence(p.net, layer, fire(layer, current_of(p, l, params[l], trace), k[l]))
            for l, layer in enumerate(p.net)
        ]
        taught = [jnp.tensordot(broadcast(e, p.batch.y), b, 1) for b in feedback]
        hidden = sum(jnp.sum(t * out) for t, out in zip(taught, h[:last], strict=True))
        return (hidden + p.loss(h[last], p.batch.y).sum()) / len(e)

    return jax.jit(jax.grad(loss))(p.params)


def sensitivity(factory: RuleFactory) -> float:
    """Relative change of the hidden dW_l if all later weights change and the error does not."""
    # The derivative of this loss is e = y for every output.
    p = problem()._replace(loss=lambda output, y: jnp.sum(output * y, -1))
    rule = factory(p.net, p.loss)
    state, grad = rule.init(jax.random.key(6), p.params, p.batch), jax.jit(rule.grad)
    before = grad(p.params, state, p.batch, p.key)[0]

    def change(l: int) -> float:
        later = jax.tree.map(lambda w: 1.5 * w + 0.1, p.params[l + 1 :])
        return relative(grad((*p.params[: l + 1], *later), state, p.batch, p.key)[0][l], before[l])

    return max(change(l) for l in range(len(p.net) - 1))


FAMILIES = {
    "dfa": Family(
        checks,
        on_net,
        credit="fixed random weights from the output to each layer",
        equals="linear hidden layers of one moment and B_l = W_{l+1} ... W_L",
    )
}

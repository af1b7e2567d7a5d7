"""Direct random target projection: identities and negative controls."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import optax

from bioplaus.identities.any_net import apart, same
from bioplaus.identities.common import (
    LINEAR,
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
    worst_cosine,
)
from bioplaus.identities.direct_feedback_alignment import surrogate
from bioplaus.losses import mse
from bioplaus.net import forward
from bioplaus.rules.direct_feedback_alignment import direct_feedback_alignment
from bioplaus.types import Batch, RuleFactory


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be direct random target projection."""
    p = problem()
    grads, state, _ = gradient(factory, p)
    y = p.batch.y
    yield equal(
        "drtp",
        "hand-coded direct random target projection at random B",
        grads,
        by_hand(p, lambda l, s, e: -y @ state.feedback[l]),
        1e-12,
    )
    yield equal("drtp", "the last layer equals backprop", grads[-1], truth(p)[-1], 1e-12)
    dfa = gradient(direct_feedback_alignment, p, lambda s: s._replace(feedback=state.feedback))[0]
    yield large(
        "drtp",
        "cosine to direct feedback alignment at the same B, worst hidden layer",
        worst_cosine(grads[:-1], dfa[:-1]),
        0.3,
    )
    yield large(
        "drtp",
        "differs from direct feedback alignment at the same B",
        relative(grads[:-1], dfa[:-1]),
        0.1,
    )
    doubled = gradient(factory, p, scale=2.0)[1]
    yield equal(
        "drtp",
        "scale multiplies B",
        doubled.feedback,
        jax.tree.map(lambda b: 2.0 * b, state.feedback),
        1e-12,
    )

    for name, q in (("", p), (", convolutions", convolutional())):
        # The derivative of this loss is e = -y for every output.
        q = q._replace(loss=lambda output, y: -jnp.sum(output * y, -1))
        grads, drawn, _ = gradient(factory, q)
        dfa = gradient(
            direct_feedback_alignment, q, lambda s, b=drawn.feedback: s._replace(feedback=b)
        )[0]
        yield equal("drtp", "direct feedback alignment where e = -y" + name, grads, dfa, 1e-12)

    later, loss = sensitivity(factory)
    yield small("drtp", "later weights change: largest relative change of hidden dW_l", later, 0.0)
    yield small("drtp", "the loss changes: relative change of hidden dW_l", loss, 0.0)
    later, loss = sensitivity(direct_feedback_alignment)
    yield large(
        "drtp", "later weights change: direct feedback alignment's hidden dW_l changes", later, 1e-2
    )
    yield large(
        "drtp", "the loss changes: direct feedback alignment's hidden dW_l changes", loss, 1e-2
    )
    yield from _over_training(factory)


def _over_training(factory: RuleFactory) -> Iterator[Check]:
    """Five steps of AdamW change the output error, but neither B nor the teaching signals."""
    # The bias gradient of a linear unit is its mean teaching signal -mean(y) B, a function of the
    # labels alone.
    linear = problem(neuron=LINEAR)
    rule = factory(linear.net, linear.loss)
    state, grad = rule.init(jax.random.key(6), linear.params, linear.batch), jax.jit(rule.grad)
    before = grad(linear.params, state, linear.batch, linear.key)[0]
    params, after = steps(rule, linear, state, optax.adamw(1e-2, weight_decay=0.1), 5)
    signal = [g["b"] for g in grad(params, after, linear.batch, linear.key)[0]]
    yield equal(
        "drtp",
        "teaching signals of hidden layers do not change in 5 steps of AdamW",
        signal[:-1],
        [g["b"] for g in before[:-1]],
        1e-12,
    )
    yield large(
        "drtp",
        "the output error changes in 5 steps of AdamW: relative difference",
        relative(signal[-1], before[-1]["b"]),
        1e-2,
    )
    shuffled = Batch(linear.batch.x, jnp.roll(linear.batch.y, 1, axis=1))
    other = [g["b"] for g in grad(params, after, shuffled, linear.key)[0][:-1]]
    yield large(
        "drtp",
        "other labels give other teaching signals: relative difference",
        relative(other, signal[:-1]),
        0.1,
    )
    yield equal("drtp", "B unchanged after 5 steps of AdamW", after.feedback, state.feedback, 0.0)


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Direct random target projection on a net of the caller's, with its noise."""
    grads, state, _ = gradient(factory, p)
    yield same(
        "drtp",
        "jax.grad of a surrogate at random B",
        grads,
        surrogate(p, state.feedback, lambda e, y: -y),
    )
    yield same("drtp", "the last layer equals backprop", grads[-1:], truth(p)[-1:])
    yield from apart("drtp", p, grads)


def sensitivity(factory: RuleFactory) -> tuple[float, float]:
    """Largest relative change of the hidden dW_l if later weights change, and if the loss does."""
    p = problem()

    def hidden(q: Problem):
        rule = factory(q.net, q.loss)
        state = rule.init(jax.random.key(6), p.params, p.batch)
        grad = jax.jit(rule.grad)
        return lambda params: grad(params, state, q.batch, q.key)[0][:-1]

    grads = hidden(p)
    before, outputs = grads(p.params), forward(p.net, p.params, p.batch.x, p.key).output

    def change(l: int) -> float:
        params = (*p.params[: l + 1], *jax.tree.map(lambda w: 1.5 * w + 0.1, p.params[l + 1 :]))
        moved = relative(forward(p.net, params, p.batch.x, p.key).output, outputs)
        return relative(grads(params)[l], before[l]) if moved > 0.1 else jnp.inf

    return max(change(l) for l in range(len(p.net) - 1)), relative(
        hidden(p._replace(loss=mse))(p.params), before
    )


FAMILIES = {
    "drtp": Family(checks, on_net, credit="the label, by fixed random weights", equals="never")
}

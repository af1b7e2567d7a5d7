"""Signal propagation: identities and negative controls."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.any_net import locally, output_of, same, settings
from bioplaus.identities.common import (
    TANH,
    Check,
    Family,
    Problem,
    convolutional,
    equal,
    float64,
    large,
    problem,
    relative,
    small,
)
from bioplaus.neurons import gaussian
from bioplaus.pools import of_sequence
from bioplaus.salts import CLASSES
from bioplaus.types import PyTree, RuleFactory

NOISY = gaussian(TANH, 0.3)
STOP = jax.lax.stop_gradient


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be signal propagation."""
    yield from _on_net(factory, problem(neuron=NOISY), 0.7, ", noise")
    yield from _on_net(factory, convolutional(), 0.7, ", convolutions")

    p = problem()
    rule = factory(p.net, p.loss, scale=0.7)
    state = rule.init(jax.random.key(6), p.params, p.batch)
    grads, after, _ = jax.jit(rule.grad)(p.params, state, p.batch, p.key)
    yield equal(
        "sigprop",
        "dW of the hidden layers equals the equations in numpy",
        grads[:-1],
        by_hand(p, state.contexts),
        1e-12,
    )
    yield equal("sigprop", "the signals of the classes do not change", after, state, 0.0)
    yield small(
        "sigprop",
        "spread of the signals of the classes: |standard deviation / scale - 1|",
        abs(np.std(state.contexts) / 0.7 - 1),
        0.25,
    )
    stepped = jax.tree.map(lambda w, g: w - 0.01 * g, p.params, grads)
    for l, (old, new) in enumerate(
        zip(*(similarities(p, w, state.contexts) for w in (p.params, stepped)), strict=True), 1
    ):
        margins = [(z * (p.batch.y - 1 / 5)).sum() for z in (old, new)]
        yield large(
            "sigprop",
            f"layer {l}, one step: rise of the similarity to the signal of the class",
            margins[1] - margins[0],
            1e-3,
        )


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Any net: the gradient of the objective of every layer, at the factory's scale."""
    yield from _on_net(factory, p, float(settings(factory)["scale"]))


def _on_net(factory: RuleFactory, p: Problem, scale: float, name: str = "") -> Iterator[Check]:
    rule = factory(p.net, p.loss, scale=scale)
    state = float64(rule.init(jax.random.key(6), p.params, p.batch))
    grads, _, info = jax.jit(rule.grad)(p.params, state, p.batch, p.key)
    of_classes = p._replace(key=jax.random.fold_in(p.key, CLASSES))

    def total(params, joined, taught):
        """The objectives and the loss of the readout; and that loss.

        joined: 1 lets errors pass between layers, 0 does not. taught: 0 removes the part of the
        gradient that comes through the signals of the classes.
        """
        h, t, objective = p.batch.x, state.contexts, 0.0
        if p.net[0].time is not None:
            t = jnp.stack([t] * h.shape[1], 1)
        for l in range(len(p.net) - 1):
            h, t = (
                locally(q, l, params[l], joined * a + (1 - joined) * STOP(a))
                for q, a in ((p, h), (of_classes, t))
            )
            read, signal = (
                of_sequence(p.net, p.net[l], a) for a in (h, taught * t + (1 - taught) * STOP(t))
            )
            z = jnp.einsum("b...n,c...n->bc", read, signal) * read.shape[-1] / read[0].size
            objective -= (p.batch.y * jnp.log(jax.nn.softmax(z))).sum(-1).mean()
        readout = p.loss(
            output_of(p, len(p.net) - 1, params[-1], joined * h + (1 - joined) * STOP(h)), p.batch.y
        ).mean()
        return objective + readout, readout

    slopes = jax.jit(jax.grad(total, has_aux=True))
    want, readout = slopes(p.params, 0.0, 1.0)
    yield same("sigprop", "jax.grad of the layers' objectives" + name, grads, want)
    yield equal(
        "sigprop", "info['loss'] is the loss of the readout" + name, info["loss"], readout, 1e-9
    )
    if len(p.net) > 1:
        for error, wrong in (
            ("errors passing between layers", (1.0, 1.0)),
            ("no gradient through the classes", (0.0, 0.0)),
        ):
            other = slopes(p.params, *wrong)[0]
            yield large(
                "sigprop",
                f"differs from jax.grad with {error}{name}",
                relative(grads[:-1], other[:-1]),
                1e-3,
            )


def similarities(p: Problem, params: PyTree, contexts: jax.Array) -> list[np.ndarray]:
    """z of each hidden layer of a tanh perceptron, in numpy."""
    h, t = (passed(params, x) for x in (p.batch.x, contexts))
    return [a @ b.T for a, b in zip(h[1:], t[1:], strict=True)]


def passed(params: PyTree, x: jax.Array) -> list[np.ndarray]:
    """An input and the outputs of the hidden layers of a tanh perceptron, in numpy."""
    outputs = [np.asarray(x)]
    for w in params[:-1]:
        outputs.append(np.tanh(outputs[-1] @ np.asarray(w["w"]) + np.asarray(w["b"])))
    return outputs


def by_hand(p: Problem, contexts: jax.Array) -> PyTree:
    """Gradients of the hidden layers of a tanh perceptron, in numpy."""
    h, t, y = passed(p.params, p.batch.x), passed(p.params, contexts), np.asarray(p.batch.y)
    grads = []
    for l, z in enumerate(similarities(p, p.params, contexts)):
        e = (np.exp(z) / np.exp(z).sum(-1, keepdims=True) - y) / len(y)
        s, r = (1 - h[l + 1] ** 2) * (e @ t[l + 1]), (1 - t[l + 1] ** 2) * (e.T @ h[l + 1])
        grads.append({"w": h[l].T @ s + t[l].T @ r, "b": s.sum(0) + r.sum(0)})
    return tuple(grads)


FAMILIES = {
    "sigprop": Family(
        checks,
        on_net,
        credit="nothing: signals of the classes go forward through the same layers",
        equals="never",
    )
}

"""Forward-forward: identities and negative controls."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.any_net import locally, same, settings
from bioplaus.identities.common import (
    LINEAR,
    SIGMOID,
    Check,
    Family,
    Problem,
    convolutional,
    equal,
    gradient,
    large,
    problem,
    relative,
    small,
)
from bioplaus.losses import bernoulli, binary_cross_entropy
from bioplaus.net import drive, fire, layer_key
from bioplaus.neurons import relu
from bioplaus.rules.forward_forward import drawn as wrong_labels
from bioplaus.types import Array, Key, PyTree, RuleFactory

RELU = relu()


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be forward-forward."""
    p = problem()
    yield from _on_net(factory, p, {"theta": 0.3, "strength": 0.7})
    yield from _on_net(factory, convolutional(), {"theta": 0.1, "strength": 1.0}, ", convolutions")

    y = np.asarray(p.batch.y)
    scores = factory(p.net, p.loss, strength=0.7).predict(p.params, (), p.batch.x, p.key)
    want = np.stack(
        [(hidden(p, p.params, 0.7 * np.eye(5)[[c] * 8])[1] ** 2).sum(-1) for c in range(5)], 1
    )
    yield equal(
        "ff",
        "predict: goodness of the second hidden layer for each label, in numpy",
        scores,
        want,
        1e-9,
    )
    rule = factory(p.net, p.loss, negatives=shifted, theta=0.3)
    step = jax.jit(lambda params: rule.grad(params, (), p.batch, p.key)[0])
    after = jax.tree.map(lambda w, g: w - 0.01 * g, p.params, step(p.params))
    for l in range(2):
        gaps = [
            (hidden(p, w, y)[l] ** 2).sum() - (hidden(p, w, np.roll(y, 1, -1))[l] ** 2).sum()
            for w in (p.params, after)
        ]
        yield large(
            "ff",
            f"layer {l + 1}, one step: rise of the goodness of right over wrong labels",
            gaps[1] - gaps[0],
            1e-4,
        )

    q = problem(neuron=RELU)
    rule = factory(q.net, q.loss, negatives=shifted)
    step = jax.jit(
        lambda s: rule.grad(
            (jax.tree.map(lambda w: s * w, q.params[0]), *q.params[1:]), (), q.batch, q.key
        )[0]
    )
    grads, louder = step(1.0), step(3.0)
    yield equal(
        "ff",
        "first layer three times as active: later layers have the same gradients",
        louder[1:],
        grads[1:],
        1e-9,
    )
    yield large(
        "ff",
        "first layer three times as active: its gradient differs",
        relative(louder[0], grads[0]),
        0.1,
    )
    yield from _wrong_labels(factory, p)


def _wrong_labels(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """The wrong labels that the rule draws, and its options."""
    y = np.asarray(p.batch.y)
    drawn = [
        np.asarray(settings(factory)["negatives"](jax.random.key(i), p.batch.y, jnp.zeros((8, 5))))
        for i in range(40)
    ]
    yield small("ff", "drawn wrong labels: share of right ones", (np.mean(drawn, 0) * y).max(), 0.0)
    yield small(
        "ff",
        "drawn wrong labels are one-hot: largest |sum - 1|",
        np.abs(np.sum(drawn, -1) - 1).max(),
        0.0,
    )
    yield large(
        "ff",
        "drawn wrong labels: least share of any other class",
        (np.mean(drawn, 0) + y).min(),
        0.02,
    )
    sure = wrong_labels(
        jax.random.key(0), p.batch.y, jnp.asarray(50.0 * np.roll(y, 2, -1) + 90.0 * y)
    )
    yield equal(
        "ff",
        "large logits: the drawn wrong label is the readout's most likely one",
        sure,
        np.roll(y, 2, -1),
        0.0,
    )
    yield from _options(factory, p)


def _options(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """The options hardness and peers."""
    readout = p.net[-1], p.params[-1], layer_key(p.key, len(p.net) - 1)
    neutral = hidden(p, p.params, np.full(p.batch.y.shape, 1 / 5))[-1]
    unit = jnp.asarray(neutral / np.sqrt((neutral**2).mean(-1, keepdims=True)))
    logits = fire(readout[0], drive(readout[0], readout[1], unit, readout[2]), readout[2])

    def step(**options):
        return factory(p.net, p.loss, **options).grad(p.params, (), p.batch, p.key)[0]

    def weighted(key, y, output):
        # Not labels: their values show which logits the rule passes to `negatives`.
        return jnp.exp(output) * (1 - y)

    given = jax.jit(lambda wrong: step(negatives=lambda key, y, output: wrong))
    for name, h in (
        ("hardness 2: wrong labels are drawn by twice the readout's logits", 2.0),
        ("no hardness: wrong labels are drawn by logits of zero", None),
    ):
        found = jax.jit(lambda h=h: step(hardness=h, negatives=weighted))()
        yield equal("ff", name, found, given(jnp.exp((h or 0.0) * logits) * (1 - p.batch.y)), 1e-9)
    kinds = ((LINEAR, binary_cross_entropy), (SIGMOID, bernoulli))
    nets = [problem((7, 5, 4, 3), examples=6, output=neuron, loss=loss) for neuron, loss in kinds]
    of_logits, of_odds = (gradient(factory, q, hardness=1.0, negatives=weighted)[0] for q in nets)
    yield equal(
        "ff",
        "outputs are probabilities: wrong labels are drawn by their log odds",
        of_odds,
        of_logits,
        1e-6,
    )
    plain, pulled = (
        given(jnp.roll(p.batch.y, 1, -1)),
        jax.jit(lambda: step(negatives=shifted, peers=0.3))(),
    )
    x = np.array(p.batch.x)
    x[:, :5] = p.batch.y
    h = hidden(p, p.params, np.asarray(p.batch.y))
    for l, below in enumerate((x, h[0])):
        active = h[l].mean(0)
        pull = 0.3 * np.outer(
            (below / np.sqrt((below**2).mean(-1, keepdims=True))).mean(0), active - active.mean()
        )
        found = pulled[l]["w"] - plain[l]["w"]
        yield equal(
            "ff",
            f"peers: the pull on layer {l + 1}'s mean activities, in numpy",
            found,
            pull,
            1e-9,
        )
    yield equal("ff", "peers: the readout does not change", pulled[-1], plain[-1], 0.0)
    yield large(
        "ff",
        "peers: hidden layers change: relative difference",
        relative(pulled[:-1], plain[:-1]),
        1e-3,
    )


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Any net: the gradient of the objective of every layer.

    The wrong label is the one after the right label.
    """
    yield from _on_net(factory, p, {k: float(settings(factory)[k]) for k in ("theta", "strength")})


def shifted(key: Key, y: Array, output: Array) -> Array:
    """The label after the right one."""
    del key, output
    return jnp.roll(y, 1, -1)


def _on_net(
    factory: RuleFactory, p: Problem, hyper: dict[str, Any], name: str = ""
) -> Iterator[Check]:
    rule = factory(p.net, p.loss, negatives=shifted, **hyper)
    grads, _, info = jax.jit(rule.grad)(p.params, (), p.batch, p.key)
    x, y, stop = p.batch.x, p.batch.y, jax.lax.stop_gradient
    first = 1 if p.net[0].time is None else 2  # axis of units

    def total(params, joined):
        def layers(label):
            flat = x.reshape(*x.shape[:first], -1)
            label = jnp.broadcast_to(
                label if first == 1 else label[:, None], (*flat.shape[:-1], y.shape[1])
            )
            h = jnp.concatenate([hyper["strength"] * label, flat[..., y.shape[1] :]], -1).reshape(
                x.shape
            )
            for l, w in enumerate(params):
                h = joined * h + (1 - joined) * stop(h)
                units = tuple(range(1 if p.net[max(l - 1, 0)].time is None else 2, h.ndim))
                length = jnp.sqrt(jnp.mean(h**2, units, keepdims=True) + 1e-12)  # not 0 in silence
                h = locally(p, l, w, h / length)
                yield h if p.net[l].time is None else h.mean(1)

        objective = 0.0
        for label, sign in ((y, -1.0), (jnp.roll(y, 1, -1), 1.0)):
            for h in list(layers(label))[:-1]:
                z = (h**2).reshape(len(x), -1).sum(-1) - hyper["theta"] * h[0].size
                objective += 0.5 * jnp.log1p(jnp.exp(sign * z)).mean()
        readout = p.loss(list(layers(jnp.ones_like(y) / y.shape[1]))[-1], y).mean()
        return objective + readout, readout

    slopes = jax.jit(jax.grad(total, has_aux=True))
    want, readout = slopes(p.params, 0.0)
    yield same("ff", "jax.grad of the layers' objectives" + name, grads, want)
    yield equal(
        "ff",
        "info['loss'] is the loss of the readout without a label" + name,
        info["loss"],
        readout,
        1e-9,
    )
    yield large(
        "ff",
        "differs from jax.grad with errors passing between layers" + name,
        relative(grads[:-1], slopes(p.params, 1.0)[0][:-1]),
        1e-3,
    )


def hidden(p: Problem, params: PyTree, label: np.ndarray) -> list[np.ndarray]:
    """Outputs of the hidden layers of a tanh perceptron, with a label in the input, in numpy."""
    h, outputs = np.array(p.batch.x), []
    h[:, : label.shape[1]] = label
    for w in params[:-1]:
        h = np.tanh(
            h / np.sqrt((h**2).mean(-1, keepdims=True)) @ np.asarray(w["w"]) + np.asarray(w["b"])
        )
        outputs.append(h)
    return outputs


FAMILIES = {
    "ff": Family(
        checks,
        on_net,
        credit="nothing: each layer tells true labels from wrong ones",
        equals="never",
    )
}

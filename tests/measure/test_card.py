"""The card against what each rule's equations say, and against backprop in disguise."""

import jax
import jax.numpy as jnp
import pytest
from expected_cards import BATCH, EXPECTED, NET, X, made, shaped
from flax import nnx

from bioplaus.layers import cnn, conv, dense, flattened, group_normed, mlp
from bioplaus.layers.flax import from_flax
from bioplaus.local import by_vjp
from bioplaus.losses import cross_entropy
from bioplaus.measure.card import card, describe
from bioplaus.net import forward
from bioplaus.neurons import synaptic_release, tanh
from bioplaus.rules import BASELINES, of_labels
from bioplaus.types import Layer


@pytest.mark.parametrize("name", [*of_labels(over_time=False), *BASELINES])
def test_every_rule(name):
    """Those that need time are in time/test_card_over_time.py."""
    assert card(made(name), NET, BATCH) == EXPECTED[name]


def disguised(net, name="fa"):
    """Backprop under the name and the state of another rule."""
    rule = made(name, net)

    def grad(params, state, batch, key, gate=None):
        def loss(p):
            return cross_entropy(forward(net, p, batch.x, key).output, batch.y).mean()

        return jax.grad(loss)(params), state, {}

    return rule._replace(grad=grad)


IMAGES = shaped(2, 8, 8, 1)
CONVOLUTIONS = (conv(2, 3, tanh()), conv(4, 3, tanh(), stride=2), flattened(dense(3)))
X_CONVOLUTIONS = 3 * 3 * 2 * 4 + 2 * 2 * 4 * 3


@pytest.mark.parametrize(
    ("net", "batch", "words"), [(NET, BATCH, X), (CONVOLUTIONS, IMAGES, X_CONVOLUTIONS)]
)
def test_backprop_in_disguise_is_found(net, batch, words):
    found = card(disguised(net), net, batch)
    assert (found.transport_words, found.feedback_words) == (words, 0)
    honest = card(made("fa", net), net, batch)
    assert (honest.transport_words, honest.feedback_words) == (0, words)


def test_a_named_scope_does_not_hide_weight_transport():
    """Weight transport is found in a scope named forward, in changed weights and in one matrix."""

    def rule(change, scope):
        def grad(params, state, batch, key, gate=None):
            trace = forward(NET, params, batch.x, key)
            with jax.named_scope(scope):
                error = trace.output - batch.y
                signal = error @ change(params[2]["w"])
                first = jax.tree.map(jnp.zeros_like, params[0])
                return first, {"w": trace.inputs[1].T @ signal, "b": signal.sum(0)}, params[2]

        bp = made("bp")
        return bp._replace(grad=lambda *a, **k: (grad(*a, **k), (), {}))

    def found(change, scope="forward"):
        c = card(rule(change, scope), NET, BATCH)
        return c.transport_words, c.transport_bits

    assert found(lambda w: w.T) == (18, 0)
    assert found(lambda w: (w * 0.5 + 1.0).reshape(2, 3, 3).transpose(2, 0, 1).reshape(3, 6)) == (
        18,
        0,
    )
    assert found(lambda w: jax.lax.scan(lambda c, row: (c, row * 2), 0, w)[1].T) == (18, 0)
    assert found(lambda w: jnp.eye(3) @ w.T) == (18, 0)
    assert found(lambda w: jnp.sign(w).T) == (0, 18)
    assert found(lambda w: jnp.ones((3, 6))) == (0, 0)
    # a scalar of the weights is no transport
    assert found(lambda w: w.sum() * jnp.ones((3, 6))) == (0, 0)
    assert found(lambda w: w.T, "update") == (18, 0)


def test_responses_to_few_probes_count_as_activity():
    """Responses to probes count as activity while there are fewer probes than inputs of the layer.

    Five responses do not determine a matrix of six rows; six do.
    """

    def rule(probes):
        def grad(params, state, batch, key, gate=None):
            trace = forward(NET, params, batch.x, key)
            signal = (trace.output - batch.y) @ (probes @ params[2]["w"]).T @ probes
            return (
                (params[0], {"w": trace.inputs[1].T @ signal, "b": signal.sum(0)}, params[2]),
                (),
                {},
            )

        return made("bp")._replace(grad=grad)

    assert [card(rule(jnp.eye(n, 6)), NET, BATCH).transport_words for n in (5, 6)] == [0, 18]


def two_matrices(n, neuron=None):
    """current = tanh(x a) b: a block of two matrices, pulled as one."""
    first, second = dense(n), dense(n)

    def init(key, x):
        return {
            "a": first.init(key, x)["w"],
            "b": second.init(key, jnp.zeros((x.shape[0], n), x.dtype))["w"],
        }

    def synapse(params, state, x, key):
        del key
        return state, jnp.tanh(x @ params["a"]) @ params["b"]

    return Layer(init, synapse, by_vjp(synapse), neuron or tanh())


def test_backprop_inside_a_layer_is_printed():
    net = (dense(5, tanh()), two_matrices(6), dense(3))
    found = card(made("fa", net), net, BATCH)
    assert (found.crossed, found.transport_words) == ((0, 1, 0), 0)
    assert found.feedback_words == 5 * 6 + 6 * 6 + 6 * 3
    assert ("backprop inside a layer", "layer 2 crosses 1 of its own weight arrays") in describe(
        found
    )
    bp = card(made("bp", net), net, BATCH)
    assert (bp.transport_words, bp.crossed) == (found.feedback_words, (0, 0, 0))
    perturbed = card(made("np", net), net, BATCH)
    assert (perturbed.transport_words, perturbed.crossed) == (0, (0, 1, 0))


def test_flax_blocks():
    """Feedback alignment crosses a block of two matrices by B, perturbation by the block's W."""
    rngs = nnx.Rngs(0)
    block = nnx.Sequential(nnx.Linear(6, 6, rngs=rngs), jnp.tanh, nnx.Linear(6, 6, rngs=rngs))
    net = (dense(6, tanh()), *from_flax(block, tanh(), whole=True), dense(3))
    fa, perturbed = (card(made(name, net), net, BATCH) for name in ("fa", "np"))
    assert (fa.transport_words, fa.feedback_words, fa.crossed) == (0, 2 * 36 + 18, (0, 0, 0))
    assert (perturbed.transport_words, perturbed.crossed) == (0, (0, 1, 0))
    assert card(made("bp", net), net, BATCH).transport_words == fa.feedback_words


def test_tied_weights():
    """Where the network itself sums over both axes of w, only the scope 'feedback' tells."""
    plain = dense(6)

    def synapse(params, state, x, key):
        del key
        return state, jnp.tanh(x @ params["w"]) @ params["w"].T

    net = (dense(5, tanh()), Layer(plain.init, synapse, by_vjp(synapse), tanh()), dense(3))
    assert card(made("bp", net), net, BATCH).transport_words == 5 * 6 + 5 * 3
    assert card(made("fa", net), net, BATCH).transport_words == 0


def test_other_layers():
    """The weights of LeNet and of unreliable synapses are transported; a norm has none."""
    net, batch = cnn(10), shaped(2, 28, 28, 1, classes=10)
    words = 25 * 6 * 16 + 400 * 120 + 120 * 84 + 84 * 10
    assert (
        card(made("bp", net), net, batch).transport_words
        == card(made("fa", net), net, batch).feedback_words
        == words
    )
    noisy = (dense(5, tanh()), synaptic_release(group_normed(2, dense(6, tanh())), 0.5), dense(3))
    assert card(made("bp", noisy), noisy, BATCH).transport_words == X
    assert card(made("fa", noisy), noisy, BATCH).transport_words == 0


def test_locking_is_per_layer_and_grows_with_depth():
    deep = mlp([7, 5, 5, 5, 5, 3])
    assert card(made("bp", deep), deep, BATCH).locking == (10, 9, 8, 7, 6)
    assert card(made("dfa", deep), deep, BATCH).locking == (7, 7, 7, 7, 6)


def test_description_is_plain():
    lines = {
        name: dict(describe(card(made(name), NET, BATCH)))
        for name in ("bp", "kp", "usf", "np", "ep")
    }
    assert lines["bp"]["weight transport"] == "yes: 48 forward weights are read backwards"
    assert lines["kp"]["feedback weights"] == "48, learned"
    assert lines["usf"]["weight transport"] == "the signs of 48 forward weights, no magnitudes"
    assert lines["np"]["random numbers"] == "14 per example"
    assert lines["ep"]["settling"] == "5 steps"
    # the same properties, in the same order, for all
    assert len({tuple(v) for v in lines.values()}) == 1

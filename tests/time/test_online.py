"""`bp.online`: rules that learn while time runs, on pieces of endless streams."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from streams import DATA, KEY, LOSS, NET, TX, B, C, on_streams, pairs, piece

import bioplaus as bp
from bioplaus.training import checkpoints
from bioplaus.types import Batch


@functools.cache
def learner():
    return bp.online(NET, bp.rules.eprop(NET, LOSS), TX)


def walk(state, cuts, rows=slice(None), reset=None):
    """(the last state, outputs of all moments); `reset` is given with the piece of that number."""
    outputs, at = [], 0
    for i, n in enumerate(cuts):
        given = reset[1] if reset and reset[0] == i else None
        state, info = learner().step(state, piece(at, at + n, rows), given)
        outputs.append(info["output"])
        at += n
    return state, jnp.concatenate(outputs, 1)


def start(rows=slice(None)):
    return learner().init(KEY, piece(0, 1, rows))


def same(one, other):
    def raw(a):
        return jax.random.key_data(a) if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a

    return all(np.array_equal(raw(a), raw(b)) for a, b in pairs(one, other))


def test_weights_change_at_each_piece_as_the_rule_and_the_optimiser_say():
    state = start()
    params, rule = state.params, on_streams()
    noise, inner = jax.random.key(9), state.rule
    for at in range(3):
        grads, inner, _ = rule.grad(params, inner, piece(at, at + 1), noise)
        params = jax.tree.map(lambda w, g: w - 0.3 * g, params, grads)
    got, _ = walk(start(), [1, 1, 1])
    for w, v, first in zip(
        *map(jax.tree.leaves, (got.params, params, start().params)), strict=True
    ):
        assert np.allclose(w, v, atol=1e-6)
        assert not np.allclose(w, first, atol=1e-4)
    assert int(got.step) == 3


def test_a_row_that_is_reset_starts_anew_and_the_others_go_on():
    lr0 = bp.online(NET, bp.rules.eprop(NET, LOSS), optax.sgd(0.0))
    state, reset = lr0.init(KEY, piece(0, 1)), jnp.array([False, True, False])
    state, _ = lr0.step(state, piece(0, 4))
    again, info = lr0.step(state, piece(0, 4), reset)
    fresh = lr0.step(lr0.init(KEY, piece(0, 1)), piece(0, 4))[1]["output"]
    state, _ = lr0.step(lr0.init(KEY, piece(0, 1)), piece(0, 4))
    kept = lr0.step(state, piece(0, 4))[1]["output"]
    assert np.array_equal(info["output"][1], fresh[1])
    assert np.array_equal(info["output"][0], kept[0])
    assert not np.allclose(kept[1], fresh[1])  # the control: it matters
    # the traces of that row are those of one piece alone; feedback weights are never drawn anew
    alone = lr0.step(lr0.init(KEY, piece(0, 1)), piece(0, 4))[0].rule
    for new, want in zip(
        *(jax.tree.leaves(s.traces[0].eps) for s in (again.rule, alone)), strict=True
    ):
        assert np.allclose(new[1], want[1], atol=1e-6)
        assert not np.allclose(new[0], want[0], atol=1e-6)
    assert same(again.rule.learned, alone.learned)


def test_a_stream_saved_in_its_middle_goes_on_to_the_bit(tmp_path):
    state, _ = walk(start(), [1, 1, 1, 1])
    checkpoints.save(tmp_path, 4, state, None)
    read = checkpoints.latest(tmp_path, jax.eval_shape(start))
    assert read is not None
    after, output = walk(state, [1, 1])
    resumed, outputs = walk(read.state, [1, 1])
    assert same(after, resumed)
    assert np.array_equal(output, outputs)
    assert not same(after.params, walk(start(), [1, 1])[0].params)


def test_it_is_compiled_once_and_its_state_does_not_grow():
    traced = []
    stream = on_streams()

    def grad(*args, **kwargs):
        traced.append(1)
        return stream.grad(*args, **kwargs)

    counted = bp.rules.eprop(NET, LOSS)._replace(stream=stream._replace(grad=grad))
    init, step = bp.online(NET, counted, TX)
    state = init(KEY, piece(0, 1))
    sizes = []
    for at in range(5):
        state, _ = step(state, piece(at, at + 1))
        sizes.append(sum(a.nbytes for a in jax.tree.leaves(state)))
    assert len(traced) == 1
    assert len(set(sizes)) == 1


def test_a_batch_of_one_stream():
    state, outputs = walk(start(slice(1)), [1, 3], slice(1))
    assert outputs.shape == (1, 4, C)
    assert np.isfinite(outputs).all()
    assert int(state.step) == 2


def test_a_modulator_gates_what_a_stream_learns():
    plain = on_streams()
    factory = bp.modulators.modulate(bp.rules.eprop, bp.modulators.dopamine())
    rule = factory(NET, LOSS)
    assert rule.stream is not None
    params = bp.init(NET, KEY, DATA.x)
    state = rule.stream.init(KEY, params, piece(0, 2))
    state = rule.stream.grad(params, state, piece(0, 2), KEY)[1]  # from now on it has expectations
    grads, _, info = rule.stream.grad(params, state, piece(2, 4), KEY)
    modulation = bp.modulators.dopamine().gate(state.modulator, info["signals"])[1]
    want = plain.grad(params, state.rule, piece(2, 4), KEY, modulation)[0]
    free = plain.grad(params, state.rule, piece(2, 4), KEY)[0]
    assert all(np.allclose(*pair, atol=1e-6) for pair in pairs(grads, want))
    assert not any(np.allclose(*pair, atol=1e-6) for pair in pairs(grads[1], free[1]))


REFUSED = {
    "a rule of whole examples": (
        lambda: bp.online(NET, bp.rules.backprop(NET, LOSS), TX),
        "no form for streams",
    ),
    "reset of another shape": (
        lambda: learner().step(start(), piece(0, 1), jnp.zeros(2, bool)),
        r"give one truth value for each stream, \[B\] = \(3,\)",
    ),
    "another number of streams": (
        lambda: learner().step(start(), piece(0, 1, slice(2))),
        r"the piece has 2 rows, and the state keeps an array \(3, 6\)",
    ),
    "a pooled readout": (
        lambda: stream_of((NET[0], bp.after(bp.mean_over_time, bp.dense(C))), bp.cross_entropy),
        "the last layer answers at each moment",
    ),
    "a readout that fires": (
        lambda: stream_of((NET[0], bp.over_time(bp.dense(C, bp.lif())))),
        "must only leak",
    ),
    "a convolution": (
        lambda: stream_of(
            (bp.over_time(bp.conv(2, 3, bp.lif())), bp.over_time(bp.flattened(NET_OUT))),
            x=jnp.zeros((B, 2, 5, 5, 1)),
        ),
        "belongs to several",
    ),
    "synapses with a state": (
        lambda: stream_of((bp.over_time(bp.short_term(bp.dense(4, bp.lif()))), NET[1])),
        "have a state of their own",
    ),
    "an encoder in front": (
        lambda: stream_of(
            bp.encoders.in_front(
                (bp.over_time(bp.dense(4, bp.lif())), NET[1]), bp.encoders.bernoulli(steps=3)
            ),
            x=jnp.zeros((B, 4)),
        ),
        "encoder's moments as x",
    ),
}
NET_OUT = bp.dense(C, bp.leaky())


def stream_of(net, loss=LOSS, x=None):
    x = piece(0, 2).x if x is None else x
    y = jnp.zeros((B, 2, C)) if loss is LOSS else jnp.zeros((B, C))
    return on_streams(net, loss).init(KEY, bp.init(net, KEY, x), Batch(x, y))


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_stream_cannot_have_is_refused_in_one_line(name):
    make, words = REFUSED[name]
    with pytest.raises(ValueError, match=words) as error:
        make()
    assert "\n" not in str(error.value)

"""Layers over time against backprop through time by hand, in float64, by public `rule.grad`.

Each identity has a control that must fail: the same reference with one thing changed.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import at_moments, bptt
from nets import (
    KEY,
    Case,
    as_numpy,
    batch_of,
    cells_of,
    loss_of,
    net_of,
    params_of,
    product,
    readout_of,
    spikes,
    wide,
)

import bioplaus as bp
from bioplaus.identities.common import cosine, relative

pytestmark = pytest.mark.usefixtures("x64")

F, R = False, True
EXACT = 1e-12
FAST = [
    Case("lif", (F,)),
    Case("lif", (R, R, R), False),
    Case("lif", (F, F, F), False, True),
    Case("lif", (R,), True, True),
    Case("alif", (R, R, R), True, True),
    Case("alif", (F, F, F), True),
    Case("alif", (R,), False),
    Case("alif", (F,), False, True),
]
OTHERS = [
    Case("lif", (R, F), False, reset="to_zero"),
    Case("lif", (F, R), True, True, reset="to_zero"),
    Case("alif", (R, R), False, True, reset="subtract_undecayed"),
    Case("lif", (R,), False, refractory=2.0),
    Case("alif", (R, F), False, dt=4.0),
    Case("lif", (R, F), False, True, horizon=3),
    Case("alif", (R, R), False, horizon=2),
]
ALL = OTHERS + [
    pytest.param(case, marks=() if case in FAST else pytest.mark.slow) for case in product()
]


def by_hand(case, params, batch, feedback=None, closed=True, readout=None, **changed):
    cells = tuple(c._replace(**changed) for c in cells_of(case))
    params, x, y = as_numpy((params, batch.x, batch.y))
    feedback = feedback and as_numpy(feedback)
    return bptt(cells, params, x, y, readout or readout_of(case), feedback, closed)


@functools.cache
def posed(case, examples=3, moments=7):
    net, batch = net_of(case), batch_of(case, examples, moments)
    return net, batch, params_of(net, batch.x)


def gradient(rule, state, params, batch, gate=None):
    """One compiled call of the public `grad`."""
    grads, _, info = jax.jit(rule.grad)(params, state, batch, KEY, gate)
    return grads, info


@pytest.mark.parametrize("case", ALL, ids=str)
def test_backprop_is_backprop_through_time(case):
    net, batch, params = posed(case)
    grads, info = gradient(bp.rules.backprop(net, loss_of(case)), (), params, batch)
    loss, want, fired = by_hand(case, params, batch)
    assert all(0.05 < z.mean() < 0.9 for z in fired), [z.mean() for z in fired]
    assert abs(info["loss"] - loss) < EXACT * loss
    assert relative(grads, want) < EXACT
    # controls: each part of the reference counts
    changes = [{"detached": not case.detached}, {"horizon": 1}]
    changes += [{"beta": 0.0}] if case.kind == "alif" else []
    changes += [{"closed": False}] if any(case.recurrent) else []
    for changed in changes:
        assert relative(grads, by_hand(case, params, batch, **changed)[1]) > 1e-3, changed


@pytest.mark.parametrize("case", [Case("lif", (R, R)), Case("alif", (F, R), False, True)], ids=str)
def test_feedback_alignment_has_random_feedback_in_depth_and_in_time(case):
    net, batch, params = posed(case)
    rule = bp.rules.feedback_alignment(net, loss_of(case))
    state = rule.init(jax.random.key(4), params, batch)
    want = by_hand(case, params, batch)[1]
    same = jax.tree.map(lambda b: b, state)._replace(
        feedback=tuple(p if b else () for p, b in zip(params, state.feedback, strict=True))
    )
    assert relative(gradient(rule, same, params, batch)[0], want) < EXACT
    grads = gradient(rule, state, params, batch)[0]
    assert relative(grads, by_hand(case, params, batch, state.feedback)[1]) < EXACT
    # controls: the layers differ from backprop, and feedback in time counts beside that in depth
    for got, true in zip(grads[:-1], want[:-1], strict=True):
        assert relative(got, true) > 0.1
        assert cosine(got, true) < 0.95
    assert relative(grads[-1], want[-1]) < EXACT
    depth = [
        f and (f | {"back": p["back"]} if "back" in f else f)
        for f, p in zip(state.feedback, params, strict=True)
    ]
    assert relative(grads, by_hand(case, params, batch, tuple(depth))[1]) > 1e-3


def test_a_recurrent_rate_net_is_a_plain_rnn():
    x = batch_of(Case("lif", (R,)))
    net = (
        bp.recurrent(bp.dense(6, bp.tanh()), bp.dense(6)),
        bp.recurrent(bp.dense(5, bp.sigmoid()), bp.dense(5)),
        bp.after(bp.last_moment, bp.dense(4)),
    )
    params = params_of(net, x.x)

    def loss(params, cut):
        h = [x.x[:, t] for t in range(x.x.shape[1])]
        for p, f in zip(params[:-1], (jnp.tanh, jax.nn.sigmoid), strict=True):
            z = jnp.zeros((len(x.x), p["in"]["w"].shape[1]))
            for t, at in enumerate(h):
                z = jax.lax.stop_gradient(z) if cut else z
                own = z @ p["back"]["w"] + p["back"]["b"]
                h[t] = z = f(at @ p["in"]["w"] + p["in"]["b"] + own)
        return bp.cross_entropy(h[-1] @ params[-1]["w"] + params[-1]["b"], x.y).mean()

    grads = gradient(bp.rules.backprop(net, bp.cross_entropy), (), params, x)[0]
    assert relative(grads, jax.grad(loss)(params, False)) < EXACT
    assert relative(grads, jax.grad(loss)(params, True)) > 1e-2


def test_only_asked_moments_teach():
    case = Case("alif", (R,), each_moment=True)
    net, batch, params = posed(case)
    asked = np.random.default_rng(0).random(batch.x.shape[:2]) < 0.5
    asked[0] = False  # an example that is never asked
    rule = bp.rules.backprop(net, loss_of(case))
    grads, info = gradient(rule, (), params, batch._replace(asked=asked))
    loss, want, _ = by_hand(case, params, batch, readout=functools.partial(at_moments, asked=asked))
    assert abs(info["loss"] - loss) < EXACT * loss
    assert relative(grads, want) < EXACT
    assert relative(grads, by_hand(case, params, batch)[1]) > 1e-2
    # targets of moments that are not asked are never read
    unknown = batch._replace(y=jnp.where(asked[..., None], batch.y, jnp.nan), asked=asked)
    assert relative(gradient(rule, (), params, unknown)[0], want) < EXACT


def test_as_many_moments_as_examples_and_inputs():
    """B = T = n_in = C: nothing may be told by a size."""
    case = Case("alif", (R, F), each_moment=True)
    net, batch = net_of(case), batch_of(case, 4, 4)._replace(x=spikes(4, 4, 4))
    params, rule = params_of(net, batch.x), bp.rules.backprop(net, loss_of(case))
    assert relative(gradient(rule, (), params, batch)[0], by_hand(case, params, batch)[1]) < EXACT
    # a gate [B] weighs examples, [B, T, 1] moments: they are never taken for each other
    gate = jnp.array([0.0, 1.0, 2.0, 0.5])
    each = [
        by_hand(case, params, jax.tree.map(lambda a, i=i: a[i : i + 1], batch))[1] for i in range(4)
    ]
    want = jax.tree.map(lambda *g: sum(w * a for w, a in zip(gate, g, strict=True)) / 4, *each)
    assert relative(gradient(rule, (), params, batch, gate)[0], want) < EXACT
    of_moments = jnp.broadcast_to(gate[:, None], (4, 4, 1))
    assert relative(gradient(rule, (), params, batch, of_moments)[0], want) > 1e-2


# --- Pieces of a sequence

CUTS = ((0, 1), (1, 5), (5, 7))
STREAMS = {
    "spikes": (
        bp.synaptic_release(bp.dense(6, bp.gaussian(bp.lif(), 0.3), weights=wide), 0.7),
        bp.dense(5, bp.poisson(bp.lif(refractory=2.0), 4.0), weights=wide),
    ),
    "values": (
        bp.dense(6, bp.poisson(bp.leaky(), 2.0), weights=wide),
        bp.dense(5, bp.gaussian_current(bp.synaptic(bp.alif()), 0.4), weights=wide),
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_pieces_are_the_whole_with_noise_and_gains(name):
    first, second = STREAMS[name]
    back = bp.synaptic_release(bp.dense(5, weights=wide), 0.5)
    net, x = (bp.over_time(first), bp.recurrent(second, back)), spikes()
    params, draw = params_of(net, x), np.random.default_rng(3)
    of_moments, fixed = (jnp.asarray(draw.uniform(0.5, 1.5, s)) for s in ((3, 7, 6), (3, 1, 5)))

    @jax.jit
    def run(pasts, x, of_moments, key):
        gains = bp.Gain(of_moments, 0.1), bp.Gain(fixed, out=1.0 + jnp.arange(5.0))
        return bp.advance(bp.with_gain(net, gains), params, pasts, x, key)

    def gap(pasts, start, stop, key=KEY):
        pasts, trace = run(pasts, x[:, start:stop], of_moments[:, start:stop], key)
        return pasts, float(jnp.abs(trace.output - whole[:, start:stop]).max())

    whole, pasts = run(None, x, of_moments, KEY)[1].output, None
    before: Any = None
    for start, stop in CUTS:
        before = pasts
        pasts, error = gap(pasts, start, stop)
        assert error < EXACT
    assert pasts is not None
    assert [int(p.t) for p in pasts] == [7, 7]
    # controls: a past that is forgotten, a clock that is set back, another key
    assert gap(jax.tree.map(jnp.zeros_like, before), 5, 7)[1] > 0.1
    assert gap(tuple(p._replace(t=0 * p.t) for p in before), 5, 7)[1] > 0.1
    assert gap(before, 5, 7, jax.random.key(1))[1] > 0.1


def test_gains_of_moments_and_the_shapes_that_are_refused():
    net, x = net_of(Case("alif", (F, R))), spikes()
    params = params_of(net, x)
    scale = jnp.asarray(np.random.default_rng(0).uniform(0.5, 1.5, (3, 1, 6)))

    @jax.jit
    def output(scale):
        gains = bp.Gain(scale, 0.2), bp.Gain(), bp.Gain()
        return bp.forward(bp.with_gain(net, gains), params, x, KEY).output

    want = output(scale)
    assert float(jnp.abs(output(jnp.broadcast_to(scale, (3, 7, 6))) - want).max()) == 0
    assert float(jnp.abs(output(scale[:1, 0][0]) - want)[0].max()) == 0  # [n], of example 0
    assert float(jnp.abs(output(scale[:1, 0][0]) - want)[1:].max()) > 1e-3
    for shape in ((3, 6), (3, 2, 6), (2, 1, 6), (5,), (3, 7, 5)):
        with pytest.raises(
            ValueError, match=r"gain: got shape .*; give a scalar, \[n\] = .*, or all axes"
        ):
            output(jnp.ones(shape))


def test_noise_modes_and_gains_in_either_order():
    noisy = bp.gaussian(bp.lif(), 0.3), bp.gaussian_current(bp.leaky(), 0.4)
    release = [bp.synaptic_release(bp.dense(5, n, weights=wide), 0.6) for n in (*noisy, None)]
    net = (bp.over_time(release[0]), bp.recurrent(*release[1:]))
    silent = (
        bp.over_time(bp.dense(5, bp.lif(), weights=wide)),
        bp.recurrent(bp.dense(5, bp.leaky(), weights=wide), bp.dense(5)),
    )
    x, gains = spikes(), (bp.Gain(1.3, 0.1, 0.7),) * 2
    params = params_of(net, x)

    def output(net):
        return bp.forward(net, params, x, KEY).output

    want = output(bp.with_gain(silent, gains))
    for mode in ("off", "mean"):
        for changed in (
            bp.noise_mode(bp.with_gain(net, gains), mode),
            bp.with_gain(bp.noise_mode(net, mode), gains),
        ):
            assert float(jnp.abs(output(changed) - want).max()) < EXACT
    # controls: with noise, and without the gain
    assert float(jnp.abs(output(bp.with_gain(net, gains)) - want).max()) > 1e-2
    assert float(jnp.abs(output(silent) - want).max()) > 1e-2

"""Costs of spiking nets by hand: accumulates by spikes, rates, and the rate at which they pay."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.measure import break_even, effective, inference, spike_rates, total
from bioplaus.measure.spikes import MAC_IN_ACS

KEY = jax.random.key(0)
B, T = 3, 6
SIZES = (7, 5, 4, 3)
SPIKES = (jax.random.uniform(KEY, (B, T, 7)) < 0.4).astype(jnp.float32)
Y = jax.nn.one_hot(jnp.arange(B), 3)
WIDE = jax.nn.initializers.normal(1.0)
LAST = bp.after(bp.mean_over_time, bp.dense(3))


LIF, ALIF = bp.lif(threshold=0.5), bp.alif(threshold=0.5)


def layers(neuron):
    return [bp.dense(n, neuron, weights=WIDE) for n in SIZES[1:3]]


NETS = {
    "lif": (*(bp.over_time(layer, dt=2.0) for layer in layers(LIF)), LAST),
    "alif": (*(bp.over_time(layer, dt=2.0) for layer in layers(ALIF)), LAST),
    "recurrent lif": (
        *(
            bp.recurrent(layer, bp.dense(n, weights=WIDE), dt=2.0)
            for n, layer in zip(SIZES[1:3], layers(LIF), strict=True)
        ),
        LAST,
    ),
    "recurrent alif": (
        bp.recurrent(layers(ALIF)[0], bp.dense(5, weights=WIDE), dt=2.0),
        bp.over_time(layers(ALIF)[1], dt=2.0),
        LAST,
    ),
}


@pytest.fixture(scope="module", params=sorted(NETS))
def ran(request):
    """A net, its forward pass on spikes, and the effective counts of an update of backprop."""
    net = NETS[request.param]
    params = bp.init(net, KEY, SPIKES)
    trace = jax.jit(lambda p: bp.forward(net, p, SPIKES, KEY))(params)
    rule = bp.rules.backprop(net, bp.cross_entropy)
    batch = bp.Batch(SPIKES, Y)
    counts = effective(rule, net, batch, KEY, params=params, state=())
    return net, params, trace, counts


def spikes_received(trace, l):
    """How many spikes reach layer l, from below and from itself."""
    return sum(int((a != 0).sum()) for a in jax.tree.leaves((trace.inputs[l], trace.heard[l])))


def test_a_spike_costs_an_accumulate_per_synapse(ran):
    """ACs = nnz x fan-out by hand; no MAC in a forward pass but those of the pooled readout."""
    _, _, trace, counts = ran
    assert all(spikes_received(trace, l) for l in range(2))
    for l, fan_out in enumerate(SIZES[1:3]):
        cell = counts.cells["forward", l + 1]
        assert (cell.macs, cell.acs * B) == (0, spikes_received(trace, l) * fan_out)
        assert cell.spikes * B == spikes_received(trace, l)
    pooled = np.asarray(trace.inputs[2]).mean(1)
    assert counts.cells["forward", 3].macs * B == (pooled != 0).sum() * 3


def test_an_update_of_spikes_accumulates_too(ran):
    """dW = sum_t x_t s_t: with spikes x_t no product is a multiplication, in hidden layers."""
    _, _, _, counts = ran
    for l in (1, 2):
        assert counts.cells["update", l].macs == 0 < counts.cells["update", l].acs


def test_currents_are_multiplied():
    """The control: of inputs that are values the first layer's products are MACs."""
    net = NETS["recurrent alif"]
    x = SPIKES * 0.7
    params = bp.init(net, KEY, x)
    rule = bp.rules.backprop(net, bp.cross_entropy)
    counts = inference(rule, net, bp.Batch(x, Y), numbers=(params, (), KEY))
    first = counts.cells["forward", 1]
    heard = bp.forward(net, params, x, KEY).heard[0]
    assert first.macs * B == int((x != 0).sum()) * 5
    assert first.acs * B == int((heard != 0).sum()) * 5 > 0


def test_rates(ran):
    net, params, trace, _ = ran
    rates = spike_rates(net, params, SPIKES, KEY)
    for l in range(2):
        by_hand = np.asarray(trace.outputs[l]).sum() / (B * T * SIZES[l + 1])
        np.testing.assert_allclose(rates.moment[l], by_hand, rtol=1e-6)
        np.testing.assert_allclose(rates.hz[l], by_hand / 2e-3, rtol=1e-6)  # moments of 2 ms
    assert np.isnan(rates.moment[2])
    assert np.isnan(rates.hz[2])


def test_break_even_by_hand(ran):
    """r* = c (M* - M) / A, with the spikes found as the share r of A that takes place."""
    net, params, trace, _ = ran
    dense_net = bp.mlp([7, 20, 3])
    batch = bp.Batch(SPIKES[:, 0], Y)
    dense = inference(bp.rules.backprop(dense_net, bp.cross_entropy), dense_net, batch)
    found = break_even(net, params, SPIKES, KEY, dense, mac=4.0)
    own = [n * n if jax.tree.leaves(trace.heard[l]) else 0 for l, n in enumerate(SIZES[1:3])]
    acs = T * (7 * 5 + 5 * 4 + sum(own))
    assert (found.macs, found.acs) == (4 * 3, acs)
    assert found.rate == pytest.approx(4.0 * (7 * 20 + 20 * 3 - 12) / acs)
    events = sum(spikes_received(trace, l) * n for l, n in enumerate(SIZES[1:3]))
    assert found.found == pytest.approx(events / (B * acs))


N = 10
RELAY = (bp.over_time(bp.dense(N, bp.lif(1.0, threshold=0.5))), bp.over_time(bp.dense(4)))
PASSED_ON = {"w": jnp.eye(N) + 1e-6, "b": jnp.zeros(N)}


def test_break_even_by_bisection():
    """The rate at which real counts of the spiking and of the dense net are equal is the formula's.

    The first layer passes each spike on, so that all rates are those of the input.
    """
    batch = bp.Batch(jnp.zeros((1, T, N)), jnp.eye(4)[:1])
    params = (PASSED_ON, bp.init(RELAY, KEY, batch.x)[1])
    rule = bp.rules.backprop(RELAY, bp.at_each_moment(bp.cross_entropy))
    dense_net = bp.mlp([N, N, 4])
    still = batch._replace(x=batch.x[:, 0] + 1)
    dense = inference(bp.rules.backprop(dense_net, bp.cross_entropy), dense_net, still)

    def spikes(m):
        return (jnp.arange(T * N) < m).astype(jnp.float32).reshape(1, T, N)

    def cost(m):
        at = inference(rule, RELAY, batch._replace(x=spikes(m)), numbers=(params, (), KEY))
        assert (total(at).macs, total(at).acs) == (0, m * (N + 4))
        return total(at).acs

    goal = MAC_IN_ACS * total(dense).macs
    low, high = 0, T * N
    assert cost(low) < goal < cost(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) < goal else (low, middle)
    rate = break_even(RELAY, params, spikes(20), KEY, dense).rate
    assert low <= rate * T * N <= high


def test_refusals():
    memoryless = bp.mlp([7, 4, 3])
    params = bp.init(memoryless, KEY, SPIKES[:, 0])
    rule = bp.rules.backprop(memoryless, bp.cross_entropy)
    dense = inference(rule, memoryless, bp.Batch(SPIKES[:, 0], Y))
    with pytest.raises(ValueError, match="no layers over time"):
        spike_rates(memoryless, params, SPIKES[:, 0], KEY)
    with pytest.raises(ValueError, match="no layers over time"):
        break_even(memoryless, params, SPIKES[:, 0], KEY, dense)
    net = NETS["lif"]
    params = bp.init(net, KEY, SPIKES)
    with pytest.raises(ValueError, match="nothing but 0"):
        break_even(net, params, 0 * SPIKES, KEY, dense)
    values = (bp.over_time(bp.dense(3, bp.leaky())),)
    with pytest.raises(ValueError, match="no synapses of the net receive spikes"):
        break_even(values, bp.init(values, KEY, SPIKES), SPIKES + 0.5, KEY, dense)


def test_a_silent_layer_has_the_rate_0_and_a_readout_has_none():
    net = NETS["lif"]
    params = jax.tree.map(lambda p: p - 9.0, bp.init(net, KEY, SPIKES))
    rates = spike_rates(net, params, SPIKES, KEY)
    for found in rates:
        np.testing.assert_array_equal(found, [0, 0, np.nan])
    assert (spike_rates(net, bp.init(net, KEY, SPIKES), SPIKES, KEY).hz[:2] > 0).all()  # control

"""What OTTT, DECOLLE and RTRL refuse, on whole sequences and on streams: one line each."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from streams import KEY, LOSS, B, C

import bioplaus as bp
from bioplaus.neurons import izhikevich
from bioplaus.types import Batch

READOUT = bp.over_time(bp.dense(C, bp.leaky()))
POOLED = bp.after(bp.mean_over_time, bp.dense(C))


def over(neuron):
    return bp.over_time(bp.dense(4, neuron)), READOUT


def begins(factory, net, loss=LOSS, *, stream=False, x=(B, 2, 4)):
    """The rule's init on a net, or that of its form for streams."""
    rule, x = factory(net, loss), jnp.zeros(x)
    y = jnp.zeros((B, x.shape[1], C) if loss is LOSS else (B, C))
    return (rule.stream if stream else rule).init(KEY, bp.init(net, KEY, x), Batch(x, y))


def images():
    return bp.over_time(bp.conv(2, 3, bp.lif())), bp.over_time(bp.flattened(bp.dense(C)))


WIDE = (bp.over_time(bp.dense(1000, bp.alif())), READOUT)  # 7,002 parameters, 2,002 states
MANY = (bp.dense(120), bp.dense(C))  # 11,162 parameters, no state

OTTT = "more than leak by one number"
GAINS = (bp.Gain(jnp.ones((B, 2, 4))), bp.Gain())
REFUSED = {
    "ottt, a reset that errors pass": (bp.rules.ottt, over(bp.lif(detached=False)), OTTT),
    "ottt, a reset to zero": (
        bp.rules.ottt,
        over(bp.lif(reset=bp.neurons.RESETS["to_zero"])),
        OTTT,
    ),
    "ottt, a refractory time": (bp.rules.ottt, over(bp.lif(refractory=2.0)), OTTT),
    "ottt, adaptive neurons": (bp.rules.ottt, over(bp.alif()), OTTT),
    "ottt, Izhikevich's neurons": (bp.rules.ottt, over(izhikevich()), OTTT),
    "ottt, a time constant for each neuron": (
        bp.rules.ottt,
        over(bp.lif(tau=jnp.array([2.0, 3.0, 4.0, 5.0]))),
        OTTT,
    ),
    "ottt, synapses that are not affine": (
        bp.rules.ottt,
        (bp.over_time(bp.short_term(bp.dense(4, bp.lif()))), READOUT),
        "not affine",
    ),
    "ottt, truncated backprop through time": (
        bp.rules.ottt,
        (bp.over_time(bp.dense(4, bp.lif()), horizon=3), READOUT),
        "horizon = 3",
    ),
    "rtrl, a wide net": (bp.rules.rtrl, WIDE, "rtrl is for tiny nets"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nets_that_a_rule_cannot_represent_are_refused_in_one_line(name):
    with pytest.raises(ValueError, match=REFUSED[name][2]) as error:
        begins(*REFUSED[name][:2])
    assert "\n" not in str(error.value)


def test_gains_of_each_moment_are_refused_by_what_learns_from_them():
    """A net with such gains answers, as with deleted spikes, and `ottt` does not learn from it."""
    net = bp.with_gain(over(bp.lif()), GAINS)
    rule, x = bp.rules.ottt(net, LOSS), jnp.zeros((B, 2, 4))
    params = bp.init(net, KEY, x)
    assert rule.predict(params, (), x, KEY).shape[0] == B
    with pytest.raises(ValueError, match="from moment to moment"):
        rule.grad(params, (), Batch(x, jnp.zeros((B, 2, C))), KEY)


STREAMS: dict[str, Any] = {
    f"{name}, {what}": (factory, *rest)
    for name, factory in (("ottt", bp.rules.ottt), ("decolle", bp.rules.decolle))
    for what, *rest in (
        ("a pooled readout", (over(bp.lif())[0], POOLED), bp.cross_entropy, "answers at each"),
    )
} | {
    "rtrl, a wide net": (bp.rules.rtrl, WIDE, LOSS, "rtrl is for tiny nets"),
    "decolle, synapses with a state": (
        bp.rules.decolle,
        (bp.over_time(bp.short_term(bp.dense(4, bp.lif()))), READOUT),
        LOSS,
        "have a state of their own",
    ),
    "decolle, a convolution": (bp.rules.decolle, images(), LOSS, "belongs to several"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams_that_a_rule_cannot_follow_are_refused_in_one_line(name):
    factory, net, loss, words = STREAMS[name]
    x = (B, 2, 5, 5, 1) if "convolution" in name else (B, 2, 4)
    with pytest.raises(ValueError, match=words) as error:
        begins(factory, net, loss, stream=True, x=x)
    assert "\n" not in str(error.value)


def test_rtrl_refuses_large_nets_before_work_starts_in_grad_too():
    for net, shape in ((WIDE, (B, 2, 4)), (MANY, (B, 90))):
        x = jnp.zeros(shape)
        loss = LOSS if net is WIDE else bp.mse
        batch = Batch(x, jnp.zeros((*shape[:-1], C)))
        rule, params = bp.rules.rtrl(net, loss), bp.init(net, KEY, x)
        with pytest.raises(ValueError, match="rtrl is for tiny nets"):
            jax.eval_shape(lambda p, r=rule, b=batch: r.grad(p, (), b, KEY)[0], params)


def test_what_a_rule_can_represent_is_taken():
    """The controls: one step away from a refusal."""
    for net in (over(bp.lif()), over(bp.leaky()), over(bp.tanh())):
        begins(bp.rules.ottt, net)
        begins(bp.rules.ottt, net, stream=True)
    still = (bp.Gain(jnp.ones((B, 1, 4)), jnp.zeros(4)), bp.Gain(2.0))
    begins(bp.rules.ottt, bp.with_gain(over(bp.lif()), still), stream=True)
    begins(bp.rules.ottt, images(), stream=True, x=(B, 2, 5, 5, 1))
    begins(bp.rules.decolle, over(bp.alif()), stream=True)
    begins(bp.rules.rtrl, over(bp.alif()), stream=True)

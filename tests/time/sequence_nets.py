"""Small nets over time, and a batch of spikes for them."""

import functools

import jax
import jax.numpy as jnp

import bioplaus as bp
from bioplaus.rules import BASELINES, RULES, of_labels

B, T, N, C = 4, 6, 5, 3
KEY = jax.random.key(0)
WIDE = jax.nn.initializers.normal(0.8)
ALL = {key: RULES[key] for key in of_labels()} | BASELINES
X = (jax.random.uniform(jax.random.key(1), (B, T, N)) < 0.5).astype(jnp.float32)
Y = jax.nn.one_hot(jnp.arange(B) % C, C)


def net_of(neuron, *, recurrent=False, pool=bp.mean_over_time, sizes=(6, 4), weights=WIDE):
    """Two hidden layers over time, and a readout: of the pooled sequence, or of each moment."""
    dense = functools.partial(bp.dense, weights=weights)
    hidden = [
        bp.recurrent(dense(n, neuron), dense(n)) if recurrent else bp.over_time(dense(n, neuron))
        for n in sizes
    ]
    last = bp.over_time(dense(C)) if pool is None else bp.after(pool, dense(C))
    return (*hidden, last)


NETS = {
    "LIF": net_of(bp.lif()),
    "recurrent LIF": net_of(bp.lif(), recurrent=True),
    "leaky": net_of(bp.leaky(5.0)),
    "tanh": net_of(bp.tanh()),
    "recurrent tanh": net_of(bp.tanh(), recurrent=True),
}


def shapes(tree):
    return [(a.shape, a.dtype) for a in jax.tree.leaves(tree)]


def gradient(key, net, batch, **hyper):
    factory = functools.partial(ALL[key], **hyper)
    rule = factory(net, bp.cross_entropy)
    params = bp.init(net, KEY, batch.x)
    return rule.grad(params, rule.init(KEY, params, batch), batch, KEY)[0]

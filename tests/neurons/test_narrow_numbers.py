"""Noise and rates at integers and in bfloat16, where constants and uniform numbers lose digits."""

import jax
import jax.numpy as jnp
import pytest

from bioplaus.neurons import bernoulli, gaussian, identity, relu, siegert

KEY, SHAPE = jax.random.key(0), (1000, 500)


def test_siegert_takes_integers():
    for mu in (0, 1, 2):
        assert float(siegert(mu, 0.5)) == pytest.approx(float(siegert(float(mu), 0.5)), rel=1e-6)


def test_rare_spikes_have_their_rate_in_bfloat16():
    rate = jnp.full(SHAPE, 0.003, jnp.bfloat16)
    spikes = bernoulli(relu(), 1.0).step((), rate, KEY)[1].astype(jnp.float32)
    assert float(spikes.mean()) == pytest.approx(float(rate[0, 0]), rel=0.1)


def test_normal_numbers_have_mean_0_and_tails_in_bfloat16():
    xi = gaussian(identity(), 1.0).step((), jnp.zeros(SHAPE, jnp.bfloat16), KEY)[1]
    xi = xi.astype(jnp.float32)
    assert abs(float(xi.mean())) < 4 / (SHAPE[0] * SHAPE[1]) ** 0.5
    assert float(jnp.abs(xi).max()) > 4

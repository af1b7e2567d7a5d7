"""Eight simulated CPU devices against one, in a process of their own.

JAX counts its devices once per process.
"""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import optax
import pytest

import bioplaus as bp
from bioplaus.training.devices import mesh_of
from bioplaus.training.train import make_train

pytestmark = pytest.mark.thorough

PROGRAM = """
import json, pathlib, sys, tempfile
import jax, numpy as np, optax
jax.config.update("jax_disable_most_optimizations", True)
import bioplaus as bp
from bioplaus.training.checkpoints import latest, save
from bioplaus.training.devices import mesh_of
from bioplaus.training.seeds import seed_keys
from bioplaus.training.train import make_train, replicate

data = jax.tree.map(lambda a: np.asarray(a, np.float64), bp.data.load("digits").train)
net = bp.mlp([64, 16, 8, 10], bp.gaussian_current(bp.neurons.tanh(), 0.1))
found = {}

below, above = bp.conv(8, 3, bp.tanh()), bp.pooled(2, bp.conv(4, 2, bp.tanh()))
conv_net = (below, above, bp.flattened(bp.dense(10)))
images = data._replace(x=data.x.reshape(-1, 8, 8, 1))
hears = bp.recurrent(bp.dense(8, bp.alif(), weights=jax.nn.initializers.normal(1)), bp.dense(8))
spiking = (hears, bp.over_time(bp.dense(6, bp.lif())), bp.after(bp.mean_over_time, bp.dense(10)))
rows = data._replace(x=data.x.reshape(-1, 8, 8))

def run_of(key, mesh, seeds, net=net, data=data):
    rule = bp.rules.RULES[key](net, bp.cross_entropy)
    train = make_train(net, rule, optax.sgd(0.1, momentum=0.9), data, batch_size=16, mesh=mesh)
    if not seeds:
        return train, train.init(jax.random.key(0))
    train = replicate(train, "vmap")
    return train, train.init(seed_keys(seeds))

def trained(key, mesh, seeds):
    train, state = run_of(key, mesh, seeds)
    return train.advance(state, 5)

def gap(a, b):
    a, b = (list(map(np.asarray, jax.tree.leaves((s.params, s.rule)))) for s in (a, b))
    each = (abs(x - y).max() / max(abs(x).max(), 1e-30) for x, y in zip(a, b, strict=True))
    return max(map(float, each))

for key in ("bp", "fa", "dfa", "pc", "ep"):
    alone, _ = trained(key, None, 0)
    split, _ = trained(key, mesh_of("data=4,model=2"), 0)
    found[key] = gap(alone, split)
    w = split.params[0]["w"]
    assert len(w.sharding.device_set) == 8, w.sharding
    assert w.addressable_shards[0].data.shape == (64, 8), w.sharding
    for leaf in jax.tree.leaves(split.rule):  # feedback weights lie as their layers do
        assert leaf.ndim < 2 or leaf.addressable_shards[0].data.shape[-1] * 2 == leaf.shape[-1], key
for key in ("fa", "softhebb"):
    runs = [run_of(key, mesh, 0, conv_net, images) for mesh in (None, mesh_of("data=4,model=2"))]
    (alone, _), (split, _) = (train.advance(state, 5) for train, state in runs)
    found["convolutions, " + key] = gap(alone, split)
    assert split.params[0]["w"].addressable_shards[0].data.shape == (3, 3, 1, 4)
for key in ("bp", "fa"):
    runs = [run_of(key, mesh, 0, spiking, rows) for mesh in (None, mesh_of("data=4,model=2"))]
    (alone, _), (split, _) = (train.advance(state, 5) for train, state in runs)
    found["sequences, " + key] = gap(alone, split)
    assert split.params[0]["back"]["w"].addressable_shards[0].data.shape == (8, 4)
one, four = run_of("fa", None, 0), run_of("fa", mesh_of("data=4"), 0)
with tempfile.TemporaryDirectory() as name:
    for what, (train, _), (other, like) in (("more", one, four), ("fewer", four, one)):
        folder = pathlib.Path(name) / what
        half, _ = train.advance(train.init(jax.random.key(0)), 2)
        save(folder, 2, half, None)
        early = np.array(half.params[0]["w"])
        whole, _ = train.advance(half, 2)
        resumed = latest(folder, like).state
        assert len(resumed.params[0]["w"].sharding.device_set) == (4 if what == "more" else 1)
        resumed, _ = other.advance(resumed, 2)
        found["resumed on " + what] = gap(resumed, whole)
        found["not trained further"] = float(abs(early - whole.params[0]["w"]).max())
many, _ = trained("fa", None, 8)
side, _ = trained("fa", mesh_of("seeds=8"), 8)
found["seeds"] = gap(many, side)
assert side.params[0]["w"].addressable_shards[0].data.shape == (1, 64, 16)

def noise(sharding):
    x = jax.device_put(data.x[:16], sharding) if sharding else data.x[:16]
    quiet = bp.net.noise_mode(net, "off")
    params = bp.init(net, jax.random.key(0), data.x[:16])
    key = jax.random.key(1)
    noisy = bp.gaussian(bp.neurons.identity(), 1.0)
    return np.asarray(jax.jit(lambda a: noisy.step((), a, key)[1])(0 * x))

mesh = mesh_of("data=8")
place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
found["noise"] = float(abs(noise(None) - noise(place)).max())
found["another seed"] = gap(trained("fa", None, 0)[0], jax.tree.map(lambda a: a[1], many))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def gaps():
    """The largest relative difference of weights and rule states after five steps, in float64.

    In float32 equilibrium propagation, which divides rounding errors by beta, leaves 5e-6.
    """
    env = {
        **os.environ,
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "what",
    [
        *("bp", "fa", "dfa", "pc", "ep", "seeds"),
        *("convolutions, fa", "convolutions, softhebb", "sequences, bp", "sequences, fa"),
    ],
)
def test_a_mesh_gives_the_result_of_one_device(gaps, what):
    assert gaps[what] <= 1e-6


@pytest.mark.slow
def test_noise_equals_that_of_one_device_bit_for_bit(gaps):
    assert gaps["noise"] == 0


@pytest.mark.slow
def test_a_checkpoint_resumes_on_another_number_of_devices(gaps):
    assert gaps["resumed on more"] <= 1e-6
    assert gaps["resumed on fewer"] <= 1e-6
    assert gaps["not trained further"] > 1e-4


@pytest.mark.slow
def test_the_comparison_can_fail(gaps):
    assert gaps["another seed"] > 0.1


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("key", ["fa", "ep"])
def test_training_is_lowered_for_accelerators(key, platform):
    """As far as one gets without one: the program of a run can be written for it."""
    net = (
        bp.conv(4, 3, bp.tanh()),
        bp.pooled(2, bp.flattened(bp.dense(8, bp.gaussian(bp.tanh(), 0.1)))),
        bp.dense(10),
    )
    data = bp.Batch(jnp.ones((32, 8, 8, 1)), jax.nn.one_hot(jnp.arange(32) % 10, 10))
    train = make_train(
        net, bp.rules.RULES[key](net, bp.cross_entropy), optax.adam(1e-3), data, batch_size=8
    )
    state = jax.eval_shape(train.init, jax.random.key(0))
    traced = jax.jit(lambda s: train.program.advance(s, train.data, train.hyper, 3)).trace(state)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert "stablehlo.convolution" in text


@pytest.mark.parametrize("text", ["data", "data=0", "data=4,data=2", "rows=2", "data=-1", ""])
def test_an_invalid_mesh_is_refused(text):
    with pytest.raises(ValueError, match="as in data=4,model=2"):
        mesh_of(text)


def test_more_devices_than_there_are_are_refused():
    with pytest.raises(ValueError, match="needs 4096 devices"):
        mesh_of("data=4096")

"""Training: one data order for all rules, chunks that add up, seeds that are independent."""

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus.training.seeds import WAYS, seed_keys
from bioplaus.training.stream import stream
from bioplaus.training.train import make_train, replicate
from bioplaus.types import Rule

pytestmark = pytest.mark.thorough

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (50, 6))
DATA = bp.Batch(X, jax.nn.one_hot((X[:, 0] > 0).astype(int) + (X[:, 1] > 0), 3))
NET = bp.mlp([6, 8, 3])


def make(name="bp", tx=None, **options):
    rule = bp.rules.RULES[name](NET, bp.cross_entropy)
    return make_train(NET, rule, tx or optax.adam(1e-2), DATA, batch_size=16, **options)


def rows_seen(name: str, steps: int, **options) -> np.ndarray:
    """Sum of x over each batch: which examples a rule was shown, in order."""
    inner = bp.rules.RULES[name](NET, bp.cross_entropy)

    def grad(params, state, batch, key, gate=None):
        grads, state, info = inner.grad(params, state, batch, key, gate)
        return grads, state, info | {"shown": batch.x.sum()}

    train = make_train(
        NET, Rule(inner.init, grad, inner.predict), optax.adam(1e-2), DATA, batch_size=16, **options
    )
    return np.asarray(train.advance(train.init(KEY), steps)[1]["shown"])


def test_every_rule_sees_the_same_batches():
    seen = rows_seen("bp", 9)
    for name in ("fa", "np", "ep"):
        np.testing.assert_array_equal(rows_seen(name, 9), seen)
    assert len(set(seen.tolist())) == 9  # three epochs of three batches, each in another order


def test_an_epoch_shows_no_example_twice():
    counts = np.zeros(50)

    def grad(params, state, batch, key, gate=None) -> Any:
        return (
            jax.tree.map(jnp.zeros_like, params),
            state,
            {"loss": jnp.zeros(()), **{str(i): batch.y[i, 0] for i in range(16)}},
        )

    data = bp.Batch(DATA.x, jnp.arange(50.0)[:, None])
    rule = Rule(lambda *a: (), grad, lambda params, state, x, key, context=(): DATA.y)
    train = make_train(NET, rule, optax.sgd(0.0), data, batch_size=16)
    _, history = train.advance(train.init(KEY), 3)
    for i in range(16):
        np.add.at(counts, np.asarray(history[str(i)]).astype(int), 1)
    assert counts.sum() == 48
    assert counts.max() == 1


def test_augmented_inputs_are_drawn_at_each_presentation():
    def augment(key, x):
        return x + jax.random.normal(key, (len(x), 1))

    seen = rows_seen("bp", 9, augment=augment)
    # the same for every rule
    np.testing.assert_array_equal(rows_seen("fa", 9, augment=augment), seen)
    moved = seen - rows_seen("bp", 9)
    assert len(set(moved.round(3).tolist())) == 9  # of each step its own
    held = rows_seen("bp", 6, hold=2, augment=augment)
    # a batch that stays is the same for as long
    np.testing.assert_array_equal(held[::2], held[1::2])


def test_hold_shows_each_batch_again():
    seen = rows_seen("bp", 6, hold=2)
    np.testing.assert_array_equal(seen[::2], seen[1::2])
    np.testing.assert_array_equal(seen[::2], rows_seen("bp", 3))


def test_chunks_of_any_size_give_the_same_run():
    train = make("np")
    whole, history = train.advance(train.init(KEY), 10)
    state, parts = train.init(KEY), []
    for n in (1, 4, 5):
        state, part = train.advance(state, n)
        parts.append(part["loss"])
    for a, b in zip(jax.tree.leaves(whole.params), jax.tree.leaves(state.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(history["loss"], jnp.concatenate(parts), rtol=1e-5)


def in_parts(train, start, n: int, counts: tuple[int, ...]):
    """Training by a program of n steps, in parts of `counts` steps; the history of all."""
    state, parts = train.init(start), []
    for count in counts:
        state, part = train.advance(state, n, count)
        parts.append(part["loss"][..., :count])
    return state.params, jnp.concatenate(parts, -1)


@pytest.mark.parametrize("how", [None, "vmap", "loop"])
def test_parts_of_one_program_equal_the_whole_bit_for_bit(how):
    train, start = (replicate(make("np"), how), seed_keys(2)) if how else (make("np"), KEY)
    whole = in_parts(train, start, 10, (10,))
    assert whole[1].shape == ((2, 10) if how else (10,))
    for counts in ((1, 4, 5), (9, 1), (1,) * 10):
        parts = in_parts(train, start, 10, counts)
        assert all(map(np.array_equal, jax.tree.leaves(parts), jax.tree.leaves(whole)))
    shorter = in_parts(train, start, 10, (9,))
    assert not any(map(np.array_equal, jax.tree.leaves(shorter), jax.tree.leaves(whole)))
    np.testing.assert_allclose(whole[1], train.advance(train.init(start), 10)[1]["loss"], rtol=1e-5)


@pytest.mark.parametrize("count", [0, -1, 4])
def test_a_count_beyond_the_steps_is_refused(count):
    train = make()
    with pytest.raises(ValueError, match=f"count = {count}, expected 1 to n = 3"):
        train.advance(train.init(KEY), 3, count)


@pytest.mark.parametrize("how", ["vmap", "loop"])
def test_seeds_together_equal_seeds_alone(how):
    train, many = make("fa"), replicate(make("fa"), how)
    together, _ = many.advance(many.init(seed_keys(3)), 8)
    for s in range(3):
        alone, _ = train.advance(train.init(jax.random.key(s)), 8)
        for a, b in zip(
            jax.tree.leaves(together.params), jax.tree.leaves(alone.params), strict=True
        ):
            np.testing.assert_allclose(a[s], b, rtol=1e-4, atol=1e-6)
    weights = together.params[0]["w"]
    assert float(jnp.abs(weights[0] - weights[1]).max()) > 1e-2  # other seeds, other nets


def test_a_diverged_seed_does_not_disturb_the_others():
    inner = bp.rules.backprop(NET, bp.cross_entropy)

    def grad(params, state, batch, key, gate=None):
        grads, state, info = inner.grad(params, state, batch, key, gate)
        bad = jnp.where(params[0]["w"][0, 0] > 0, jnp.nan, 0.0)  # some seeds only
        info["loss"] = info["loss"] + bad
        return jax.tree.map(lambda g: g + bad, grads), state, info

    many = replicate(
        make_train(NET, Rule(inner.init, grad, inner.predict), optax.sgd(0.1), DATA, batch_size=16)
    )
    _, history = many.advance(many.init(seed_keys(6)), 5)
    finite = np.isfinite(np.asarray(history["loss"])).all(1)
    assert 0 < finite.sum() < 6
    healthy = replicate(make("bp", optax.sgd(0.1)))
    _, alone = healthy.advance(healthy.init(seed_keys(6)), 5)
    np.testing.assert_allclose(history["loss"][finite], alone["loss"][finite], rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"batch_size": 51}, "number of examples, 50"),
        ({"batch_size": 0}, "batch_size"),
        ({"hold": 0}, "hold"),
    ],
)
def test_bad_options_are_refused(options, match):
    rule = bp.rules.backprop(NET, bp.cross_entropy)
    with pytest.raises(ValueError, match=match):
        make_train(NET, rule, optax.sgd(0.1), DATA, **{"batch_size": 16, **options})


def test_training_learns():
    train = make("fa")
    _, history = train.advance(train.init(KEY), 200)
    assert float(history["loss"][-20:].mean()) < 0.5 * float(history["loss"][:5].mean())


@pytest.fixture
def rbg():
    with jax.default_prng_impl("rbg"):
        yield


def test_a_seed_is_the_same_whatever_the_default_type_of_keys(rbg):
    """Seeds give the same numbers in vmap and in a loop, even if JAX's default keys are 'rbg'.

    With 'rbg', keys of `jax.random.key` give other numbers under vmap.
    """
    numbers = {how: over(lambda key: jax.random.normal(key, (5,))) for how, over in WAYS.items()}
    rbg_keys = jax.vmap(jax.random.key)(jnp.arange(3))
    # what would happen
    assert np.abs(numbers["vmap"](rbg_keys) - numbers["loop"](rbg_keys)).max() > 0.1
    keys = seed_keys(3)
    assert str(jax.random.key_impl(keys)) == "threefry2x32"
    np.testing.assert_array_equal(numbers["vmap"](keys), numbers["loop"](keys))
    want = [jax.random.normal(jax.random.key(seed, impl="threefry2x32"), (5,)) for seed in range(3)]
    np.testing.assert_array_equal(numbers["vmap"](keys), want)


@pytest.mark.parametrize("how", ["vmap", "loop", "auto"])
def test_seeds_take_keys_of_one_type_alone(how):
    train = make()
    rbg_keys = jax.vmap(lambda seed: jax.random.key(seed, impl="rbg"))(jnp.arange(2))
    for keys, said in (
        (rbg_keys, "type rbg"),
        (jax.vmap(jax.random.PRNGKey)(jnp.arange(2)), r"raw numbers uint32\[2, 2\]"),
        (jax.random.key(0, impl="threefry2x32"), r"shape \[\]"),
    ):
        with pytest.raises(ValueError, match=f"{said}.*threefry2x32.*seed_keys"):
            replicate(train, how).init(keys)
    with pytest.raises(ValueError, match="type rbg"):
        stream(train.program, DATA, over=jax.vmap).init(rbg_keys)


def test_studies_make_their_keys_by_seed_key():
    files = list(Path(bp.study.__path__[0]).glob("*.py"))
    own = [
        f.name
        for f in files
        if re.search(r"random\.(key|PRNGKey)\(", f.read_text(encoding="utf-8"))
    ]
    assert files
    assert not own

"""Data that stay on the host give the batches and the run of data on the device."""

import jax
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus.data.dataset import batch
from bioplaus.study import Study, StudyError, run_study
from bioplaus.training.program import make_program
from bioplaus.training.seeds import seed_keys
from bioplaus.training.stream import stream
from bioplaus.training.train import bind, replicate

pytestmark = pytest.mark.thorough

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(50, 6)).astype(np.float32)
DATA = batch(X, np.eye(3, dtype=np.float32)[DRAW.integers(0, 3, 50)])
NET = bp.mlp([6, 8, 3])
PROGRAM = make_program(
    lambda hyper, step: (NET, bp.rules.RULES["kp"](NET, bp.cross_entropy), optax.sgd(hyper)),
    batch_size=16,
)


def same(a, b):
    for u, v in zip(
        jax.tree.leaves((a[0].params, a[0].rule, a[1])),
        jax.tree.leaves((b[0].params, b[0].rule, b[1])),
        strict=True,
    ):
        np.testing.assert_array_equal(u, v)


@pytest.mark.parametrize("seeds", [0, 3])
def test_a_streamed_run_equals_one_on_the_device(seeds, tmp_path):
    np.save(tmp_path / "x.npy", X)
    # 11 steps over 3 batches an epoch, in chunks of 4
    mapped = DATA._replace(x=np.load(tmp_path / "x.npy", mmap_mode="r"))
    whole = bind(PROGRAM, DATA, 0.1)
    many = replicate(whole, "vmap") if seeds else whole
    parts = stream(PROGRAM, mapped, 0.1, chunk=4, over=jax.vmap if seeds else None)
    start = seed_keys(seeds) if seeds else jax.random.key(0)
    same(parts.advance(parts.init(start), 11), many.advance(many.init(start), 11))
    other = stream(PROGRAM, mapped, 0.2, chunk=4, over=jax.vmap if seeds else None)
    with pytest.raises(AssertionError):
        same(other.advance(other.init(start), 11), many.advance(many.init(start), 11))


@pytest.mark.parametrize("seeds", [0, 3])
def test_a_run_in_parts_equals_the_whole_bit_for_bit(seeds):
    """Chunks of 4 of 11 steps, and parts that end within a chunk, at its end and beyond."""
    train = stream(PROGRAM, DATA, 0.1, chunk=4, over=jax.vmap if seeds else None)
    start = seed_keys(seeds) if seeds else jax.random.key(0)
    whole = train.advance(train.init(start), 11, 11)
    for counts in ((1, 4, 6), (10, 1)):
        state, losses = train.init(start), []
        for count in counts:
            state, history = train.advance(state, 11, count)
            assert history["loss"].shape[-1] == count
            losses.append(history["loss"])
        same((state, {**whole[1], "loss": np.concatenate(losses, -1)}), whole)
    with pytest.raises(AssertionError):
        same(train.advance(train.init(start), 11, 10), whole)


def test_a_study_streams():
    base = {
        "steps": 5,
        "seeds": 2,
        "points": 2,
        "net": {"hidden": [8]},
        "robustness": False,
        "energy": False,
        "alignment": False,
    }
    rows = [run_study(Study(name="s", base={**base, "stream": n}), show=False).rows for n in (0, 2)]
    assert rows[0] == rows[1]


def test_bad_options_are_refused():
    with pytest.raises(StudyError, match="leave out --mesh or stream"):
        run_study(Study(name="s", base={"stream": 2}), mesh="data=1", show=False)
    with pytest.raises(ValueError, match="chunk is 0"):
        stream(PROGRAM, DATA, 0.1, chunk=0)
    with pytest.raises(ValueError, match="number of examples, 9"):
        stream(PROGRAM, jax.tree.map(lambda a: a[:9], DATA), 0.1)

"""Checkpoints: exact to the bit; damage to any byte is noticed, and the one before is used."""

import json
import re
import shutil
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus.training import checkpoints
from bioplaus.training.checkpoints import CheckpointError, latest, save
from bioplaus.training.seeds import seed_keys
from bioplaus.training.train import make_train, replicate

STATE = {
    "weights": jax.random.normal(jax.random.key(0), (40, 30)),
    "keys": jax.random.split(jax.random.key(1), 2),
    "none": jnp.zeros((0, 4)),
    "step": jnp.int32(3),
}
NOTE = {"rows": [["fa", 0.1]], "seconds": 1.5}


def same(a, b) -> bool:
    return all(
        jax.tree.leaves(
            jax.tree.map(lambda x, y: bool((x == y).all()) and x.dtype == y.dtype, a, b)
        )
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A folder with the checkpoints of steps 2 and 3; that of step 1 has been removed."""
    folder = tmp_path_factory.mktemp("two")
    for step in (1, 2, 3):
        save(folder, step, {**STATE, "step": jnp.int32(step)}, NOTE, keep=step - 1)
    return folder


@pytest.fixture
def copy(two, tmp_path):
    return shutil.copytree(two, tmp_path / "copy")


def test_a_checkpoint_is_restored_with_its_note(two):
    assert sorted(p.name for p in two.iterdir()) == ["checkpoint-2", "checkpoint-3"]
    found = latest(two, jax.eval_shape(lambda: STATE) | {"none": STATE["none"]})
    assert found is not None
    assert (found.step, found.note, found.refused) == (3, NOTE, [])
    assert same(found.state, STATE)
    assert found.state["none"].shape == (0, 4)


def test_without_a_checkpoint_none_is_found(tmp_path):
    (tmp_path / "checkpoint.part").mkdir()
    assert latest(tmp_path, STATE) is None


def test_a_changed_byte_is_detected_and_the_previous_checkpoint_used(copy):
    draw = np.random.default_rng(0)
    files = [
        p for p in sorted((copy / "checkpoint-3").rglob("*")) if p.is_file() and p.stat().st_size
    ]
    assert {"note.json", "contents.json", "_METADATA"} <= {p.name for p in files}
    # of random numbers: one of them holds the weights
    assert max(p.stat().st_size for p in files) > 4000
    for file in files:
        whole = file.read_bytes()
        where = int(draw.integers(len(whole)))
        for broken in (
            whole[:where],
            whole[:where] + bytes([whole[where] ^ 1]) + whole[where + 1 :],
            None,
        ):
            if broken is None:
                file.unlink()
            else:
                file.write_bytes(broken)
            refused = wrong_of_newest(copy)
            assert "checkpoint-3 is" in refused, file
            file.write_bytes(whole)
    found = latest(copy, STATE)
    assert found is not None
    assert found.step == 3


def wrong_of_newest(folder) -> str:
    found = latest(folder, STATE)
    assert found is not None
    assert found.step == 2
    assert found.state["step"] == 2
    return found.refused[0]


def test_two_damaged_checkpoints_are_refused(copy):
    for step in (2, 3):
        (copy / f"checkpoint-{step}" / "note.json").write_text("{}", encoding="utf-8")
    with pytest.raises(
        CheckpointError,
        match=r"checkpoint-3 is damaged \(note.json.*checkpoint-2 is damaged.*delete that folder",
    ):
        latest(copy, STATE)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            {"weights": jnp.zeros((30, 40))},
            r"\['weights'\]: float32\[40, 30\], expected float32\[30, 40\]",
        ),
        # which orbax would cast
        ({"weights": jnp.zeros((40, 30), jnp.bfloat16)}, r"expected bfloat16"),
        ({"keys": jnp.zeros((2, 2), jnp.uint32)}, r"key<fry>\[2\], expected uint32"),
        ({"more": jnp.zeros(3)}, r"\['more'\]: nothing, expected float32\[3\]"),
        ({"none": jnp.zeros((0, 5))}, r"\['none'\]: float32\[0, 4\]"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(two, change, match):
    with pytest.raises(CheckpointError, match=f"checkpoint-3 is of another net or rule.*{match}"):
        latest(two, {**STATE, **change})


def contents(folder, **changes):
    """Write other contents into the newest checkpoint."""
    file = folder / "checkpoint-3" / "contents.json"
    file.write_text(
        json.dumps(json.loads(file.read_text(encoding="utf-8")) | changes), encoding="utf-8"
    )


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"files": {}}, "there are checksums of no file, expected those of note.json, state/"),
        ({"files": []}, "there are checksums of no file"),
        ({"files": 5}, r"is damaged \(contents.json: "),
        ({"files": None}, r"is damaged \(contents.json: "),
        ({"arrays": 3}, r"is damaged \(contents.json: "),
        ({"arrays": []}, r"is damaged \(contents.json: "),
        ({"owner": "fa-0"}, "is of step 3 of 'fa-0'"),
        ({"step": "3"}, "is of step 3"),
    ],
)
def test_invalid_contents_are_refused(copy, changes, match):
    """Without sums nothing would be checked: a changed byte of the weights would go unnoticed."""
    contents(copy, **changes)
    assert re.search(f"^checkpoint-3 .*{match}", wrong_of_newest(copy))


def test_contents_that_lack_a_part_are_refused(copy):
    file = copy / "checkpoint-3" / "contents.json"
    whole = json.loads(file.read_text(encoding="utf-8"))
    for name in whole:
        file.write_text(json.dumps({k: v for k, v in whole.items() if k != name}), encoding="utf-8")
        assert f"contents.json lacks '{name}'" in wrong_of_newest(copy)
    for other in ("[]", "3", "null", '"x"'):
        file.write_text(other, encoding="utf-8")
        assert "is damaged (contents.json: " in wrong_of_newest(copy)


def test_a_copied_or_renamed_checkpoint_is_refused(copy, tmp_path):
    """A checkpoint copied from another run, or renamed to another step, is refused.

    Its arrays would fit.
    """
    (copy / "checkpoint-3").rename(copy / "checkpoint-9")
    assert "checkpoint-9 is of step 3 of ''" in wrong_of_newest(copy)
    save(tmp_path / "fa-1", 5, STATE, NOTE, owner="fa-1")
    shutil.copytree(tmp_path / "fa-1" / "checkpoint-5", tmp_path / "fa-2" / "checkpoint-5")
    found = latest(tmp_path / "fa-1", STATE, owner="fa-1")
    assert found is not None
    assert found.step == 5
    with pytest.raises(
        CheckpointError,
        match=r"checkpoint-5 is of step 5 of 'fa-1'.*where step 5 of 'fa-2' belongs.*delete",
    ):
        latest(tmp_path / "fa-2", STATE, owner="fa-2")


def test_a_damaged_checkpoint_does_not_replace_a_good_one(copy):
    """Step 3 is damaged, the run went on from step 2 and saves step 4."""
    (copy / "checkpoint-3" / "note.json").write_text("", encoding="utf-8")
    save(copy, 4, STATE, NOTE, keep=2)
    assert sorted(p.name for p in copy.iterdir()) == ["checkpoint-2", "checkpoint-4"]
    save(copy, 4, STATE, {"again": 1}, keep=2)
    assert json.loads((copy / "checkpoint-4" / "note.json").read_text(encoding="utf-8")) == {
        "again": 1
    }


def test_a_restored_run_continues_bit_for_bit(tmp_path):
    net = bp.mlp([5, 8, 3])
    x = jax.random.normal(jax.random.key(2), (40, 5))
    data = bp.Batch(x, jax.nn.one_hot((x[:, 0] > 0).astype(int), 3))
    rule = bp.rules.kolen_pollack(net, bp.cross_entropy, tx=optax.adam(1e-2))
    many = replicate(make_train(net, rule, optax.adam(1e-2), data, batch_size=16))
    state, _ = many.advance(many.init(seed_keys(2)), 5)
    save(tmp_path, 5, state, None)
    found = latest(tmp_path, many.init(seed_keys(2)))
    assert found is not None
    before = np.asarray(found.state.params[0]["w"])
    a, b = many.advance(state, 5)[0], many.advance(found.state, 5)[0]
    assert same(a, b)
    assert not np.allclose(a.params[0]["w"], before)


def test_errors_of_threads_on_a_closed_loop_are_hidden(monkeypatch):
    """Errors of tensorstore's threads after a failed save are hidden; other errors are shown."""
    heard = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, value, trace: heard.append(value))
    monkeypatch.setattr(
        sys, "unraisablehook", lambda unraisable: heard.append(unraisable.exc_value)
    )
    checkpoints._without_closed_loops()
    for error in (RuntimeError("Event loop is closed"), RuntimeError("another")):
        sys.excepthook(type(error), error, None)
        sys.unraisablehook(SimpleNamespace(exc_value=error))  # type: ignore[arg-type]
    assert [str(e) for e in heard] == ["another", "another"]

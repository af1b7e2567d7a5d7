"""A run warns if a layer did not learn, did not settle, or if its loss ended above its start."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from studies import written

import bioplaus as bp
from bioplaus.record import Row
from bioplaus.study import Study, arm, run_study
from bioplaus.study.watch import after, risen, untrained

pytestmark = pytest.mark.slow

QUICK = {
    "steps": 20,
    "seeds": 2,
    "points": 2,
    "robustness": False,
    "energy": False,
    "alignment": False,
}
SMALL = {**QUICK, "net": {"hidden": [8]}}


def normed(neuron, inside):
    """Three linear layers with LayerNorm after the first two.

    inside: the neurons before each norm; neuron: those after it.
    """

    def part(kind, *sizes):
        return lambda rngs: kind(*sizes, rngs=rngs)

    body = (
        part(nnx.Linear, 12, 16),
        inside,
        part(nnx.LayerNorm, 16),
        neuron,
        part(nnx.Linear, 16, 16),
        inside,
    )
    return bp.from_flax(*body, part(nnx.LayerNorm, 16), neuron, part(nnx.Linear, 16, 3))


def examples(n):
    draw = np.random.default_rng(0)
    return draw.normal(size=(n, 12)).astype(np.float32), np.arange(n) % 3


@pytest.mark.parametrize(
    ("neuron", "inside", "bounded"),
    [(bp.relu(), bp.identity(), False), (bp.tanh(), bp.tanh(), True)],
)
def test_a_norm_hides_activities_that_grow_until_a_nudge_is_lost_in_rounding(
    neuron, inside, bounded
):
    """Gradients of exactly 0 are those of float32 alone, and of neurons without a bound alone."""
    net, (x, labels) = normed(neuron, inside), examples(16)
    batch = bp.Batch(jnp.asarray(x), jnp.eye(3)[labels])
    params = bp.init(net, jax.random.key(0), batch.x)
    rule = bp.rules.equilibrium_propagation(net, bp.cross_entropy, nudged_steps=15)

    def sizes(params, batch):
        grads, _, info = jax.jit(rule.grad)(params, (), batch, jax.random.key(0))
        return [
            max(float(jnp.abs(g).max()) for g in jax.tree.leaves(layer)) for layer in grads
        ], float(info["residual"])

    found, residual = sizes(params, batch)
    assert residual > 0.1
    assert (min(found) > 0) is bounded
    with jax.enable_x64(True):
        exact, same = sizes(
            *jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float64)), (params, batch))
        )
    assert min(exact) > 0
    assert same == pytest.approx(residual, abs=0.01)


def test_layers_that_do_not_learn_are_named(tmp_path):
    x, y = examples(60)
    study = Study(
        name="norm", base={**QUICK, "batch_size": 16}, grid={"rule": ["ep", "bp", "frozen"]}
    )
    found = run_study(
        study,
        net=normed(bp.relu(), bp.identity()),
        data=bp.data.own(x, y),
        out=tmp_path / "run",
        show=False,
    )
    about = {a["rule"]: a for a in found.summary["arms"]}
    assert (about["ep"]["untrained"], about["ep"]["settled"]) == ([1, 2, 3], False)
    # a baseline has hidden layers that stay on purpose
    assert about["bp"]["untrained"] == about["frozen"]["untrained"] == []
    named = [w for w in found.summary["warnings"] if "did not learn in seeds 0, 1" in w]
    assert [w.split(" did")[0] for w in named] == ["ep: layer 1", "ep: layer 2", "ep: layer 3"]
    said = str(found)
    assert "layers 1, 2, 3 did not learn" in said
    assert "warning: ep: layer 2 did not learn in seeds 0, 1" in said
    assert "warning: ep: did not settle" in said
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "layers 1, 2, 3 did not learn" in page
    assert "residual (relative)" in page
    assert named[0] in page


def test_a_loss_that_ends_above_its_start_is_named():
    wild = {"optimiser": {"learning_rate": 1e10, "weight_decay": 0.0}}
    found = run_study(
        Study(name="s", base=SMALL, rules={"fa": wild}, grid={"rule": ["bp", "fa"]}), show=False
    )
    calm, rose = found.summary["arms"]
    assert (calm["risen"], rose["risen"], rose["diverged"]) == ([], [0, 1], [])
    (said,) = [
        w for w in found.summary["warnings"] if "the loss ended above its start in seeds 0, 1" in w
    ]
    assert said.startswith("fa: ")
    assert said in " ".join(str(found).split())
    assert "loss rose in 2 of 2 seeds" in str(found)


def test_watched_values_are_summed_over_chunks():
    first = {
        "loss": jnp.array([[2.0, 9.0], [3.0, 1.0]]),
        "learns: layer 1": jnp.array([[True, False], [False, False]]),
    }
    watch = after(after(None, first), {name: values[:, ::-1] for name, values in first.items()})
    assert watch == {"first": [2.0, 3.0], "steps": 4, "updates": {"1": [2, 0]}}
    assert untrained("bp", watch, []) == {1: [1]}
    assert untrained("bp", watch, [1]) == {}  # it is reported as diverged
    few = {"first": [1.0], "steps": 100, "updates": {"1": [10], "2": [11]}}
    assert untrained("bp", few, []) == {1: [0]}
    rows = [
        Row("d", "n", "bp", "tanh", "", "0", f"step={t}", "loss", value, "nat")
        for t, value in ((5, 9.0), (10, 1.2))
    ]
    assert risen(few, rows, []) == {0: (1.0, 1.2)}
    assert (
        risen(few, rows, [0])
        == risen({**few, "first": [1.1]}, rows, [])
        == risen(None, rows, [])
        == {}
    )


def test_a_resumed_run_has_watched_all_steps(tmp_path, monkeypatch):
    """The first loss is of the first step of all, and updates are counted in both parts."""
    monkeypatch.setattr(arm, "SAVE_EVERY", 0.0)
    study = Study(
        name="s",
        base={**SMALL, "rule": "frozen", "optimiser": {"learning_rate": 1e10, "weight_decay": 0.0}},
    )
    whole = written(study, tmp_path / "run")
    assert any(
        "the loss ended above its start in seeds 0, 1" in w for w in whole.summary["warnings"]
    )
    (folder,) = (whole.folder / "arms").iterdir()
    noted = json.loads((folder / "checkpoint-20" / "note.json").read_text(encoding="utf-8"))[
        "watch"
    ]
    assert (noted["steps"], noted["updates"]) == (20, {"1": [0, 0], "2": [20, 20]})
    shutil.rmtree(folder / "checkpoint-20")
    assert written(study, whole.folder, resume=True).summary == whole.summary
    assert (
        json.loads((folder / "checkpoint-20" / "note.json").read_text(encoding="utf-8"))["watch"]
        == noted
    )

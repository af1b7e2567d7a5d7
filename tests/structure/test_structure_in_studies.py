"""Structure in studies: trained, counted, and resumed to the bit."""

import jax
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.structure import rebuilt
from bioplaus.study.arm import compiled_of, of_all_seeds
from bioplaus.study.settings import Arm, StudyError
from bioplaus.training.checkpoints import latest, save
from bioplaus.training.seeds import seed_keys

pytestmark = pytest.mark.slow

DATA = bp.data.load("digits")
SMALL = {"net": {"hidden": [12]}, "steps": 40, "seeds": 2, "batch_size": 16}
KINDS = {
    "turnover": {"kind": "turnover", "rate": 0.05, "maturity": 5},
    "rewired": {"kind": "rewired", "density": 0.3, "every": 5},
}


@pytest.fixture(scope="module", params=KINDS)
def train(request):
    arm = Arm.model_validate({**SMALL, "structure": KINDS[request.param]})
    compiled = compiled_of(arm, DATA.train.x[:1], 10)
    return of_all_seeds(arm, compiled, DATA)


def test_a_resumed_run_is_the_same_to_the_bit(train, tmp_path):
    keys = seed_keys(2)
    whole = train.advance(train.advance(train.init(keys), 20)[0], 20)[0]
    half = train.advance(train.init(keys), 20)[0]
    save(tmp_path, 20, half, None)
    found = latest(tmp_path, jax.eval_shape(train.init, keys))
    assert found is not None
    halfway = np.asarray(rebuilt(found.state.opt).made)  # the state is given away
    resumed = train.advance(found.state, 20)[0]
    for a, b in zip(*map(jax.tree.leaves, (whole.params, resumed.params)), strict=True):
        np.testing.assert_array_equal(a, b)
    made = rebuilt(whole.opt).made
    assert made.shape == (2,)
    assert (made > halfway).all()
    assert (made == rebuilt(resumed.opt).made).all()


def test_studies_report_what_structure_costs():
    """Beside frozen, whose layers stay, and an arm without structure, which has no such rows."""
    quick = {"alignment": False, "robustness": False, "points": 1}
    study = bp.Study.model_validate(
        {
            "name": "structure",
            "base": {**SMALL, **quick, "structure": KINDS["turnover"]},
            "grid": {"rule": ["bp", "frozen"]},
        }
    )
    rows = bp.run_study(study, show=False).rows
    counts = {
        (r.rule, r.measure): r.value for r in rows if r.measure.startswith("synapses ") and r.seed
    }
    assert counts["bp", "synapses made"] == counts["bp", "synapses removed"] > 64
    assert counts["frozen", "synapses made"] == 0


def test_bad_settings_are_refused():
    for structure, words in (
        ({"kind": "turnovr"}, "structure.kind: there is no 'turnovr'; did you mean 'turnover'"),
        ({"kind": "rewired"}, "structure.density: is missing and has no default"),
        ({"kind": "turnover", "rate": -1}, "structure.rate: expected a number at least 0"),
        ({"kind": "turnover", "rte": 1}, "structure.rte: unknown hyperparameter"),
        ({"kind": "none", "rate": 1}, "structure.rate: unknown hyperparameter"),
    ):
        study = bp.Study(name="bad", base={**SMALL, "structure": structure})
        with pytest.raises(StudyError, match=words):
            bp.run_study(study, show=False)
    largest = {**SMALL, "structure": KINDS["turnover"], "optimiser": {"largest": 0.1}}
    with pytest.raises(StudyError, match="leave out one of the two"):
        bp.run_study(bp.Study(name="bad", base=largest), show=False)

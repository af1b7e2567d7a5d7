"""Mistakes in the measures of nets over time, and the test that finds each of them.

A mutant replaces code of a module, quoted as `tests/mutants.py` says. One is in `make test`, all of
them in `make slow`.
"""

import sys
from types import FunctionType

import jax
import pytest
import test_accuracy_at_moments as at_moments
import test_card_over_time as cards
import test_disturbed_spikes as disturbed
import test_spike_costs as costs
import test_spike_report as reports
from mutants import code_of

import bioplaus as bp
from bioplaus import outputs
from bioplaus.measure import spikes
from bioplaus.measure.program import schedule
from bioplaus.measure.robustness import curves, synapses, units
from bioplaus.measure.robustness import spikes as disturbances

ACCURACY = sys.modules["bioplaus.measure.accuracy"]  # the package has a function of that name


def rates():
    costs.test_rates(ran())


def break_even():
    costs.test_break_even_by_hand(ran())


def ran():
    """What the fixture of `test_spike_costs` gives, without counts."""
    net = costs.NETS["recurrent alif"]
    params = bp.init(net, costs.KEY, costs.SPIKES)
    return net, params, bp.forward(net, params, costs.SPIKES, costs.KEY), None


def encoder():
    disturbed.test_the_spikes_of_an_encoder_are_disturbed("spike_jitter", 5.0)


def every_moment():
    at_moments.test_right_at_each_asked_moment(None)


def waits():
    cards.test_what_goes_back_through_the_moments(4)


FEW = {"rates in moments of 1 ms"}
MUTANTS = {
    "rates in moments of 1 ms": (spikes, "1000 * rates / dt", "1000 * rates", rates),
    "a MAC for the price of an AC": (spikes, "float(mac * (", "float(1.0 * (", break_even),
    "MACs counted as ACs": (spikes, "0 if found_macs else count", "count", break_even),
    "states of other currents": (
        spikes,
        "jnp.moveaxis(trace.currents[l], 1, 0)",
        "jnp.moveaxis(trace.outputs[l], 1, 0)",
        reports.test_recorded_states_obey_their_equations,
    ),
    "jitter in moments": (
        disturbances,
        "sigma * xi / dt",
        "sigma * xi",
        disturbed.test_jitter_moves_spikes_by_a_normal_time,
    ),
    "spikes come in at the other end": (
        disturbances,
        "jnp.where(to < 0, moments, to)",
        "to",
        disturbed.test_spikes_that_leave_or_meet,
    ),
    "the others are deleted": (
        disturbances,
        "rank < share",
        "rank > share",
        disturbed.test_deletion,
    ),
    "an encoder's spikes stay": (
        disturbances,
        "of_spikes(encoder.encode(x, key), severity)",
        "encoder.encode(x, key)",
        encoder,
    ),
    "utility of the layers above alone": (
        units,
        "leaving += jax.grad(current, 2)(l, mean(trace.inputs[l], below), h)",
        "pass",
        disturbed.test_utility_counts_the_synapses_of_a_recurrent_layer,
    ),
    "one noise for all moments": (
        synapses,
        "jax.random.fold_in(key, t.astype(jnp.int32))",
        "key",
        disturbed.test_dynamic_noise_is_fresh_at_each_moment,
    ),
    "a sequence disturbed as one input": (
        curves,
        "by.of_sequence or time is None",
        "True or time is None",
        disturbed.test_input_is_disturbed_moment_by_moment,
    ),
    "loops that run forward go back": (
        schedule,
        "op.loops[-1].moments and op.loops[-1].reverse",
        "op.loops[-1].moments",
        cards.test_two_algorithms_for_one_gradient,
    ),
    "all that is read is held": (
        schedule,
        "if not late.isdisjoint(op.inputs)",
        "if True",
        waits,
    ),
    "moments that are not asked count": (
        ACCURACY,
        "y = jnp.where(batch.asked[..., None], y, jnp.nan)",
        "pass",
        every_moment,
    ),
    "right answers that were not asked": (
        outputs,
        "jnp.where(asked, right, 0).sum(1)",
        "right.sum(1)",
        at_moments.test_accuracy_of_outputs_at_each_moment,
    ),
}


@pytest.fixture
def code_replaced():
    """(module, old, new): replaces code in all functions of the module, until the test ends."""
    before: dict[FunctionType, object] = {}

    def replace(module, old, new):
        code = code_of(module)
        assert code.count(old) == 1, "the code to replace must stand there once"
        changed = dict(vars(module))
        exec(compile(code.replace(old, new), module.__name__, "exec"), changed)
        for name, function in vars(module).items():
            other = changed.get(name)
            if isinstance(function, FunctionType) and isinstance(other, FunctionType):
                if function.__code__.co_freevars == other.__code__.co_freevars == ():
                    before[function] = function.__code__
                    function.__code__ = other.__code__

    yield replace
    for function, code in before.items():
        function.__code__ = code  # type: ignore[assignment]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FEW else pytest.mark.slow) for n in MUTANTS]
)
def test_killed(name, code_replaced):
    module, old, new, find = MUTANTS[name]
    find()  # passes without the mistake
    jax.clear_caches()
    code_replaced(module, old, new)
    with pytest.raises(AssertionError):
        find()

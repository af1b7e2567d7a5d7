"""The tables that `bioplaus list` prints: rules, neurons, surrogates, resets, encoders, modulators,
data sets and profiles.
"""

from bioplaus import data, modulators, neurons
from bioplaus.encoders import ENCODERS
from bioplaus.measure.energy import profiles
from bioplaus.rules import available
from bioplaus.support import needs_rewards, over_time_of, words

COST = "Cost, in the letters of docs/rules.md:"


def tables() -> dict[str, dict[str, str]]:
    """Kind -> key -> the first line of its description."""
    return {
        "rules": {
            k: f"{getattr(f, '__name__', k).replace('_', ' ')}. {_first_line(f)}{_cost(f)}"
            f" Over time: {words(over_time_of(f))}."
            f"{' Learns from the rewards of a world: bp.worlds.run.' if needs_rewards(f) else ''}"
            for k, f in available().items()
        },
        "neurons": {
            k: _first_line(f)
            for k, f in (neurons.NEURONS | neurons.NOISES | neurons.SYNAPTIC_NOISES).items()
        },
        "surrogates": {k: _first_line(f) for k, f in neurons.SURROGATES.items()},
        "resets": {k: _first_line(f) for k, f in neurons.RESETS.items()},
        "encoders": {k: _first_line(f) for k, f in ENCODERS.items()},
        "modulators": {k: _first_line(f) for k, f in modulators.available().items()},
        "data": {k: _first_line(f) for k, f in data.available().items()},
        "profiles": {k: p.description for k, p in profiles().items()},
    }


NOTES = {
    "rules": (
        "Costs are multiply-accumulate operations of one example. F: a forward pass. X: F without"
        " the first layer. H: F without the readout. T: steps of settling. B: examples in a batch."
        " C: classes. L: layers. n_l: units of layer l. |theta|: parameters."
        " |W_l|: MACs of layer l in a forward pass."
    )
}
"""Kind -> a note that is printed below its table."""


def _first_line(thing) -> str:
    return (thing.__doc__ or "").strip().split("\n")[0]


def _cost(rule) -> str:
    """The sentence of a rule's description that begins with COST, on one line; '' without one."""
    _, found, rest = (rule.__doc__ or "").partition(COST)
    return f" Cost: {' '.join(rest.split())}" if found else ""

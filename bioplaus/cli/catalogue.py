"""What there is to choose from, with a line on each: what `bioplaus list` prints."""

from bioplaus import data, modulators, neurons
from bioplaus.measure.energy import profiles
from bioplaus.rules import available


def tables() -> dict[str, dict[str, str]]:
    """Kind -> key -> the first line of its description."""
    return {
        "rules": {
            k: f"{getattr(f, '__name__', k).replace('_', ' ')}. {_first_line(f)}"
            for k, f in available().items()
        },
        "neurons": {
            k: _first_line(f)
            for k, f in (neurons.NEURONS | neurons.NOISES | neurons.SYNAPTIC_NOISES).items()
        },
        "modulators": {k: _first_line(f) for k, f in modulators.available().items()},
        "data": {k: _first_line(f) for k, f in data.available().items()},
        "profiles": {k: p.description for k, p in profiles().items()},
    }


NOTES = {
    "rules": (
        "Costs are multiply-accumulate operations of one example. F: a forward pass. X: F without"
        " the first layer. H: F without the readout. T: steps of settling. B: examples in a batch."
        " C: classes. L: layers. n_l: units of layer l. |theta|: parameters."
    )
}
"""Kind -> what is printed below its table."""


def _first_line(thing) -> str:
    return (thing.__doc__ or "").strip().split("\n")[0]

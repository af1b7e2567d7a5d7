"""What rules declare of nets over time, where several say the same."""

from bioplaus.types import OverTime

ANY = OverTime()
"""Layers over time of all kinds, and answers at each moment."""
ONLINE = OverTime(streams=True)
"""The same, and streams."""

OWN_INPUTS = (
    "it makes inputs of its own for layers, and does not follow what a layer would then hear of"
    " itself"
)
NO_SPIKE_MOVES = (
    "a small nudge moves no spike, so that it would report a settled network and learn nothing"
)
NO_ENERGY = (
    "a network of neurons that remember has no energy, because what they send depends on the past"
    " and not on the future"
)
ONE_LABEL = "it compares examples, or sequences, each of which has one label"

SETTLES = OverTime(recurrent=OWN_INPUTS, memory=NO_ENERGY, spikes=NO_SPIKE_MOVES)
"""Rules that settle to a minimum of an energy, in which connections are symmetric."""
FEEDFORWARD = OverTime(recurrent=OWN_INPUTS)
SEQUENCES = OverTime(each_moment=ONE_LABEL)
INVERTS = OverTime(
    recurrent=OWN_INPUTS,
    memory="the inverse of a layer works at one moment, and cannot undo what it has remembered",
    spikes=NO_SPIKE_MOVES,
)
"""Target propagation, whose inverses take each layer back, moment by moment."""

OTHER_EXAMPLES = "it gives layers other examples than those of the batch, and these have no context"
ONE_ARRAY = "it grows one array of weights from the activity at its two ends, and no gains"
"""Why rules refuse layers that hear a context, `learning_rule(context=...)`."""

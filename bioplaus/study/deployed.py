"""A trained arm at test time: its net, noise mode and weights."""

from typing import NamedTuple

from bioplaus.batches import asking
from bioplaus.measure.accuracy import Answer
from bioplaus.net import noise_mode
from bioplaus.study.build import Built
from bioplaus.training.program import TrainState
from bioplaus.types import Batch, Net, PredictFn


class Deployed(NamedTuple):
    """A trained arm at test time.

    built: its parts. mode: the mode of noise, 'on', 'off' or 'mean'. state: with the seed axis
    first.
    """

    built: Built
    mode: str
    state: TrainState

    def rebuild(self, net: Net, of: Batch) -> PredictFn:
        """`predict` of the arm's rule on another net whose parameters have the same shapes.

        of: the examples that it will be given, for the moments that are asked.
        """
        return asking(self.built.rule(net).predict, of)

    @property
    def net(self) -> Net:
        """The net with its noise in the mode of test time."""
        return noise_mode(self.built.net, self.mode)  # type: ignore[arg-type]

    def answer(self, state: TrainState, of: Batch) -> Answer:
        """(x, key) -> the output of one seed. state: of that seed, without the seed axis.

        of: the examples that x are, disturbed or not, for their context and asked moments.
        """
        predict = self.rebuild(self.net, of)
        return lambda x, k: predict(state.params, state.rule, x, k, of.context)

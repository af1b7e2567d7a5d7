"""A trained arm as it answers."""

from typing import NamedTuple

from bioplaus.measure.accuracy import Answer
from bioplaus.net import noise_mode
from bioplaus.study.build import Built
from bioplaus.training.program import TrainState
from bioplaus.types import Net, PredictFn, PyTree


class Deployed(NamedTuple):
    """A trained arm as it answers: its parts, the noise mode at test time, and its states with the
    seed axis first.
    """

    built: Built
    mode: str
    state: TrainState

    def rebuild(self, net: Net) -> PredictFn:
        """This rule's predict on another net of the same shapes."""
        return self.built.rule(net).predict

    @property
    def net(self) -> Net:
        """The net with its noise as it is at test time."""
        return noise_mode(self.built.net, self.mode)  # type: ignore[arg-type]

    def answer(self, state: TrainState, context: PyTree) -> Answer:
        """What one seed answers. state: of that seed alone."""
        predict = self.rebuild(self.net)
        return lambda x, k: predict(state.params, state.rule, x, k, context)

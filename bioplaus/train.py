"""Training runs, under the name that scripts import: see `bioplaus.training`."""

from bioplaus.training.program import Program, TrainState, make_program
from bioplaus.training.seeds import seed_key, seed_keys, seeds_over
from bioplaus.training.train import Train, bind, make_train, replicate

__all__ = [
    "Program",
    "Train",
    "TrainState",
    "bind",
    "make_program",
    "make_train",
    "replicate",
    "seed_key",
    "seed_keys",
    "seeds_over",
]

"""`bioplaus.training.train` under the name that scripts import; see there."""

from bioplaus.training.train import (
    Program,
    Train,
    TrainState,
    bind,
    make_program,
    make_train,
    replicate,
    seed_key,
    seed_keys,
    seeds_over,
)

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

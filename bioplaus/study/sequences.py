"""Whether an arm and its data agree on time: sequences, encoders, and answers at each moment."""

import math
from typing import Any

import jax

from bioplaus.data import SEQUENCES, Dataset
from bioplaus.encoders import ENCODERS
from bioplaus.study.nets import DEFAULT_DT, encoder_of
from bioplaus.study.settings import Arm, StudyError, nearest
from bioplaus.training.seeds import seed_key
from bioplaus.types import Net

NETS = ("mlp", "spiking")
"""The nets that `compare` and `tune` can name."""

ENCODED = {"kind": "bernoulli", "steps": 25}
"""The encoder of a spiking net that `compare` and `tune` build for data that are no sequences."""


def net_kind(name: str | None, data: str, arrays: Dataset | None = None) -> str:
    """The name itself; None: spiking for data that are sequences, else mlp.

    data: the name of the data set. arrays: the user's data, in its place. Raises StudyError for a
    name that is not in NETS.
    """
    if name is None:
        sequences = data in SEQUENCES if arrays is None else arrays.dt is not None
        return "spiking" if sequences else "mlp"
    if name not in NETS:
        raise StudyError(f"net: there is no {name!r}{nearest(name, NETS)}")
    return name


def spiking_settings(data: Dataset) -> dict[str, Any]:
    """The settings of a spiking net for `compare` and `tune`: 100 recurrent ALIF neurons.

    The readout receives a quarter of the number of spikes, and gradients are clipped at 1.
    """
    settings: dict[str, Any] = {
        "net": {"kind": "spiking", "hidden": [100], "recurrent": True, "variance": 1.0},
        "neuron": {"kind": "alif", "tau_adapt": 100.0},
        "optimiser": {"learning_rate": 5e-3, "clip": 1.0},
    }
    if data.dt is None:
        settings["encoder"] = ENCODED
    moments = moments_of(Arm.model_validate(settings), data)[0]
    return settings | {"net": settings["net"] | {"readout_gain": moments / 4}}


def moments_of(arm: Arm, data: Dataset) -> tuple[int, int]:
    """The number of moments of an example of a spiking net, and of inputs of each."""
    encoder, x = encoder_of(arm), data.train.x[:1]
    if encoder is not None:
        x = jax.eval_shape(encoder.encode, x, seed_key(0))
    return x.shape[1], math.prod(x.shape[2:])


def in_moments(arm: Arm, data: Dataset, net: Net | None = None) -> Arm:
    """The arm, whose spiking net has moments of the data set's length unless it says otherwise.

    net: one that the user gave the run. Raises StudyError if the arm does not fit the data.
    """
    if net is None:
        _check_net(arm, data)
    _check_answers(arm, data, net)
    if data.dt is not None and arm.jitter:
        raise StudyError(f"jitter: moves images, and {data.name} are sequences; leave it out")
    if data.dt is not None and arm.corruptions != "none":
        raise StudyError(
            f"corruptions: are of images, and {data.name} are sequences; leave them out"
        )
    if net is not None or arm.net.kind != "spiking" or arm.net.dt is not None:
        return arm
    dt = DEFAULT_DT if data.dt is None else data.dt
    return arm.model_copy(update={"net": arm.net.model_copy(update={"dt": dt})})


def _check_net(arm: Arm, data: Dataset) -> None:
    """Raise StudyError unless inputs reach the net as sequences just where it is spiking."""
    if arm.net.kind != "spiking":
        if data.dt is not None:
            raise StudyError(
                f"net.kind: {arm.net.kind} is a net of a single moment, and {data.name} are"
                ' sequences; set net.kind = "spiking"'
            )
        return
    encoder = encoder_of(arm)
    if encoder is None and data.dt is None:
        raise StudyError(
            f"encoder: is none, and {data.name} are not sequences, which a spiking net needs; give"
            f' one, as encoder = {{kind = "bernoulli", steps = 25}}, of {", ".join(ENCODERS)}'
        )
    if encoder is not None and encoder.sequences != (data.dt is not None):
        takes = "sequences" if encoder.sequences else "data that are not sequences"
        others = "are" if data.dt is not None else "are not"
        raise StudyError(
            f"encoder.kind: {arm.encoder.kind} takes {takes}, and {data.name} {others} sequences;"
            f" {'leave encoder out' if data.dt is not None else 'give another encoder'}"
        )


def _check_answers(arm: Arm, data: Dataset, net: Net | None) -> None:
    """Raise StudyError for answers at each moment, if the net answers once."""
    if data.train.y.ndim < 3:
        return
    once = arm.net.readout != "each" if net is None else net[-1].time is None
    if once:
        remedy = 'set net.readout = "each"' if net is None else "end it with a layer over time"
        raise StudyError(
            f"net.readout: {data.name} has answers at each moment, and the net answers once;"
            f" {remedy}"
        )

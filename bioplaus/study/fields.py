"""Receptive fields of a trained arm's units, without and under its modulator, for the report."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus import modulators
from bioplaus.data.dataset import picked
from bioplaus.measure.receptive import mean_gradient
from bioplaus.net import current_shapes, forward, with_gain
from bioplaus.study.arm import Trained
from bioplaus.study.deployed import Deployed
from bioplaus.study.plan import Plan
from bioplaus.training.seeds import seed_key
from bioplaus.types import Gain, Net, PyTree

SHOWN_UNITS, PROBES, MAX_SIDE, TOP = 6, 32, 64, 99


def fields_of(p: Plan, trained: Trained) -> dict[str, Any] | None:
    """Fields of the first units in the middle of the last layer that has positions, summary.json.

    They are mean gradients over test images, of the first seed that did not diverge, summed over
    the image's channels. None for nets without convolutions and for images of more than 64 pixels.

    layer: its number, from 1. position: row and column, from 1. before: a picture [rows, columns]
    for each unit, whole numbers up to 99 for the largest of both pictures. under: the same with the
    gains that the modulator gives the first test example; None without a modulator.
    """
    deployed = Deployed(p.built, p.arm.neuron.evaluate, trained.state)
    net, test = deployed.net, p.data.test
    images = jnp.asarray(test.x[:PROBES])
    if images.ndim != 4 or max(images.shape[1:3]) > MAX_SIDE:
        return None
    seed = next((s for s in range(p.arm.seeds) if s not in trained.diverged), 0)
    kept = deployed.state.params, deployed.state.rule
    params, state = jax.tree.map(lambda a: jnp.asarray(a)[seed], kept)
    first = picked(test, slice(1))
    shapes = [c.shape for c in current_shapes(net, params, first, seed_key(0))]
    placed = [l for l, shape in enumerate(shapes) if len(shape) == 4]
    if not placed:
        return None
    layer = placed[-1]
    row, column = (side // 2 for side in shapes[layer][1:3])

    def pictures(net: Net) -> np.ndarray:
        def respond(x):
            output = forward(net, params, x, seed_key(0)).outputs[layer]
            return output[:, row, column, :SHOWN_UNITS]

        return np.asarray(jax.jit(lambda x: mean_gradient(respond, x).sum(-1))(images))

    before, under = pictures(net), None
    gains = _gains(p, state, first.context)
    if gains:
        under = pictures(with_gain(net, gains))
    largest = np.abs([before, before if under is None else under]).max((0, 2, 3), keepdims=True)[0]

    def whole(of: np.ndarray) -> list:
        return np.rint(TOP * of / np.where(largest > 0, largest, 1)).astype(int).tolist()

    return {
        "layer": layer + 1,
        "position": [row + 1, column + 1],
        "before": whole(before),
        "under": None if under is None else whole(under),
    }


def _gains(p: Plan, state: PyTree, context: PyTree) -> tuple[Gain, ...]:
    """Of the arm's modulator for one example; () without a modulator."""
    if p.arm.modulator.kind == "unmodulated":
        return ()
    modulator = modulators.available()[p.arm.modulator.kind](**p.arm.modulator.hyper)
    return modulator.gain(state.modulator, context)

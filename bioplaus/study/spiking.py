"""How a trained net over time fires: rates by layer, and the spikes of one example."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.context import in_context
from bioplaus.measure.spikes import Recorded, recorded, spike_rates
from bioplaus.net import time_step
from bioplaus.record import Condition, Label, Row
from bioplaus.record.measures import RATE, RATE_HZ
from bioplaus.study.arm import PROBE_EXAMPLES, Trained
from bioplaus.study.deployed import Deployed
from bioplaus.study.plan import Plan
from bioplaus.training.seeds import seed_key
from bioplaus.types import Array, Batch

SHOWN_UNITS = 64  # the largest number of units of a layer in a raster
TRACED_UNITS = 3  # units whose states are drawn: those that fire most


def rate_rows(deployed: Deployed, test: Batch, label: Label, over: Callable[..., Any]) -> list[Row]:
    """The rates of each layer that fires, on test examples, seed by seed. [] without time.

    over: maps a function of one seed over all seeds.
    """
    if time_step(deployed.net) is None:
        return []
    few: Batch = jax.tree.map(lambda a: a[:PROBE_EXAMPLES], test)
    net = in_context(deployed.net, few.context)
    rates = jax.jit(over(lambda s: spike_rates(net, s.params, few.x, seed_key(0))))(deployed.state)
    return [
        Row.of(label, seed, Condition(layer=l + 1), measure, value)
        for measure, values in ((RATE, rates.moment), (RATE_HZ, rates.hz))
        for (seed, l), value in np.ndenumerate(np.asarray(values))
        if not np.isnan(value)
    ]


def example_of(p: Plan, trained: Trained) -> dict[str, Any] | None:
    """The spikes and states of a trained arm on one test example, for summary.json; None without
    time. It is the first example, of the first seed that did not diverge.

    dt: ms. moments: T. layers: of each, its number, its number of units, whether it spikes, how
    many units are shown, their spikes as events (moment, unit), the units traced, and traces: name
    of a state, or "output" where they do not spike, -> a list of T values for each traced unit.
    """
    deployed = Deployed(p.built, p.arm.neuron.evaluate, trained.state)
    dt = time_step(deployed.net)
    if dt is None:
        return None
    seed = next((s for s in range(p.arm.seeds) if s not in trained.diverged), 0)
    params = jax.tree.map(lambda a: jnp.asarray(a)[seed], deployed.state.params)
    first: Batch = jax.tree.map(lambda a: jnp.asarray(a[:1]), p.data.test)
    net = in_context(deployed.net, first.context)
    layers = jax.jit(lambda p, x: [_arrays(r) for r in recorded(net, p, x, seed_key(0))])(
        params, first.x
    )
    kinds = [layer for layer in deployed.net if layer.time is not None]
    found = [
        _shown(l, np.asarray(output), jax.tree.map(np.asarray, states), kind.neuron.spikes)
        for (l, output, states), kind in zip(layers, kinds, strict=True)
    ]
    return {"dt": dt, "moments": layers[0][1].shape[0], "layers": found}


def _arrays(of: Recorded) -> tuple[int, Array, dict[str, Array]]:
    """Number, output [T, n], and states [T, n] by name, of the first example; units in one axis."""

    def flat(a: Array) -> Array:
        return a[0].reshape(a.shape[1], -1)

    named = jax.tree_util.tree_leaves_with_path(of.states)
    states = {jax.tree_util.keystr(path, simple=True, separator=".") or "v": a for path, a in named}
    return of.number, flat(of.output), {name: flat(a) for name, a in states.items()}


def _shown(
    number: int, output: np.ndarray, states: dict[str, np.ndarray], spikes: bool
) -> dict[str, Any]:
    units = output.shape[1]
    most = np.argsort(-np.abs(output).sum(0), kind="stable")[:TRACED_UNITS]
    traces = states if spikes else {"output": output}
    events = np.argwhere(output[:, :SHOWN_UNITS] != 0) if spikes else np.zeros((0, 2), int)
    return {
        "layer": int(number),
        "units": units,
        "shown": min(units, SHOWN_UNITS) if spikes else 0,
        "spikes": spikes,
        "events": events.tolist(),
        "traced": most.tolist(),
        "traces": {
            name: [[float(f"{v:.4g}") for v in a[:, u]] for u in most]
            for name, a in traces.items()
            if a.shape == output.shape
        },
    }

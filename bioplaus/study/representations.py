"""Compares the hidden layers of a trained arm with those of its backprop twin.

The twin is trained by backprop from the same initial weights on the same batches. Each seed of the
backprop arm is compared with the next seed, as a reference: this is how similar two nets are that
learn in the same way.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.context import in_context
from bioplaus.measure.representation import (
    cka_table,
    dead_units,
    effective_dimension,
    hidden_activities,
    rsa_table,
    sparsity,
)
from bioplaus.net import Trace, forward
from bioplaus.net import answer as net_answer
from bioplaus.record import Condition, Label, Row
from bioplaus.record.measures import (
    CKA,
    CKA_OF_SEEDS,
    DEAD_UNITS,
    DIMENSION,
    RSA,
    RSA_OF_SEEDS,
    SPARSITY,
)
from bioplaus.study.arm import PROBE_EXAMPLES
from bioplaus.study.deployed import Deployed
from bioplaus.training.program import TrainState
from bioplaus.training.seeds import seed_key
from bioplaus.types import Array, Batch

OF_A_LAYER = ((DIMENSION, effective_dimension), (SPARSITY, sparsity), (DEAD_UNITS, dead_units))
"""Measures of a single hidden layer, see `bioplaus.measure.representation`. Over time, dimension
and dead units are those of means over time, and sparsity is that of all outputs."""

# relative to the largest output: an answer that differs by more is not that of a forward pass
FORWARD_TOLERANCE = 1e-3


def likeness_rows(
    deployed: Deployed, twin: Deployed | None, test: Batch, label: Label, over: Callable[..., Any]
) -> list[Row]:
    """CKA and RSA of all pairs of hidden layers of arm and twin, and measures of single layers.

    All are computed on test examples, seed by seed. over: maps a function of one seed over all
    seeds. There are no rows for an arm without a twin, for a backprop arm of one seed, and for an
    arm whose answer is not one forward pass of its net, because it settles or scores labels: a
    forward pass then does not show the activities that it computes with.
    """
    seeds = len(deployed.state.step)
    if twin is None or len(deployed.net) < 2 or (twin is deployed and seeds < 2):
        return []
    few: Batch = jax.tree.map(lambda a: a[:PROBE_EXAMPLES], test)
    states = (
        jax.tree.map(lambda a: jnp.roll(a, -1, 0), twin.state) if twin is deployed else twin.state
    )

    def compared(state: TrainState, other: TrainState, few: Batch):
        of_arm, trace, passes = _layers(deployed, state, few)
        of_twin, _, _ = _layers(twin, other, few)
        alone = jnp.array(
            [
                [measure(h if measure is sparsity else a) for _, measure in OF_A_LAYER]
                for a, h in zip(of_arm, trace.outputs[:-1], strict=True)
            ]
        )
        return (
            *(jnp.where(passes, found, jnp.nan) for found in (cka_table(of_arm, of_twin), alone)),
            of_arm,
            of_twin,
        )

    compiled = jax.jit(lambda a, b, few: over(lambda s, o: compared(s, o, few))(a, b))
    cka, alone, of_arm, of_twin = jax.tree.map(np.asarray, compiled(deployed.state, states, few))
    tables = (CKA_OF_SEEDS, RSA_OF_SEEDS) if twin is deployed else (CKA, RSA)
    rows = []
    for seed in range(seeds):
        rows += [
            Row.of(label, seed, Condition(layer=l + 1), measure, alone[seed, l, i])
            for i, (measure, _) in enumerate(OF_A_LAYER)
            for l in range(alone.shape[1])
            if not np.isnan(alone[seed, l, i])
        ]
        rsa = rsa_table([a[seed] for a in of_arm], [a[seed] for a in of_twin])
        for measure, table in zip(
            tables, (cka[seed], np.where(np.isnan(cka[seed]), np.nan, rsa)), strict=True
        ):
            rows += [
                Row.of(label, seed, Condition(layer=l + 1, twin_layer=m + 1), measure, table[l, m])
                for l, m in np.ndindex(*table.shape)
                if not np.isnan(table[l, m])
            ]
    return rows


def _layers(of: Deployed, state: TrainState, few: Batch) -> tuple[tuple[Array, ...], Trace, Array]:
    """Activities of hidden layers, the forward pass, and whether the arm answers by it."""
    key = seed_key(0)
    net = in_context(of.net, few.context)
    trace, answer = (
        forward(net, state.params, few.x, key),
        of.answer(state, few)(few.x, key),
    )
    off = jnp.abs(net_answer(net, trace.output, few.asked) - answer).max()
    return (
        hidden_activities(net, trace),
        trace,
        off <= FORWARD_TOLERANCE * jnp.abs(answer).max(),
    )

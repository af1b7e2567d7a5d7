"""How alike the hidden layers of a trained arm are to those of its twin, trained by backprop from
the same weights on the same batches.

Backprop itself is compared with its own next seed: what two nets that learn in the same way have in
common.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.measure.representation import (
    cka_table,
    dead_units,
    effective_dimension,
    rsa_table,
    sparsity,
)
from bioplaus.net import forward
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
"""What is measured of each hidden layer alone, see `bioplaus.measure.representation`."""
FORWARD_TOLERANCE = (
    1e-3  # of the largest output: an answer that differs by more from a forward pass is none
)


def likeness_rows(
    deployed: Deployed, twin: Deployed | None, test: Batch, label: Label, over: Callable[..., Any]
) -> list[Row]:
    """CKA and RSA of every hidden layer with every one of the twin, and what each holds alone, seed
    by seed, on test examples.

    over: how seeds share a program. No rows where there is no twin, or no other seed of backprop;
    and where the arm does not answer by one forward pass of its net, because it settles or scores
    labels: what its layers hold then is not what a pass shows.
    """
    seeds = len(deployed.state.step)
    if twin is None or len(deployed.net) < 2 or (twin is deployed and seeds < 2):
        return []
    few: Batch = jax.tree.map(lambda a: a[:PROBE_EXAMPLES], test)
    states = (
        jax.tree.map(lambda a: jnp.roll(a, -1, 0), twin.state) if twin is deployed else twin.state
    )

    def layers(of: Deployed, state: TrainState, few: Batch) -> tuple[tuple[Array, ...], Array]:
        key = seed_key(0)
        trace, answer = (
            forward(of.net, state.params, few.x, key),
            of.answer(state, few.context)(few.x, key),
        )
        return trace.inputs[1:], jnp.abs(
            trace.output - answer
        ).max() <= FORWARD_TOLERANCE * jnp.abs(answer).max()

    def compared(state: TrainState, other: TrainState, few: Batch):
        own, passes = layers(deployed, state, few)
        others, _ = layers(twin, other, few)
        alone = jnp.array([[measure(a) for _, measure in OF_A_LAYER] for a in own])
        return (
            *(jnp.where(passes, found, jnp.nan) for found in (cka_table(own, others), alone)),
            own,
            others,
        )

    compiled = jax.jit(lambda a, b, few: over(lambda s, o: compared(s, o, few))(a, b))
    cka, alone, own, others = jax.tree.map(np.asarray, compiled(deployed.state, states, few))
    tables = (CKA_OF_SEEDS, RSA_OF_SEEDS) if twin is deployed else (CKA, RSA)
    rows = []
    for seed in range(seeds):
        rows += [
            Row.of(label, seed, Condition(layer=l + 1), measure, alone[seed, l, i])
            for i, (measure, _) in enumerate(OF_A_LAYER)
            for l in range(alone.shape[1])
            if not np.isnan(alone[seed, l, i])
        ]
        rsa = rsa_table([a[seed] for a in own], [a[seed] for a in others])
        for measure, table in zip(
            tables, (cka[seed], np.where(np.isnan(cka[seed]), np.nan, rsa)), strict=True
        ):
            rows += [
                Row.of(label, seed, Condition(layer=l + 1, twin_layer=m + 1), measure, table[l, m])
                for l, m in np.ndindex(*table.shape)
                if not np.isnan(table[l, m])
            ]
    return rows

"""Turnover of units, as in the adult brain's neurogenesis: the least useful are born again.

    m_j <- d m_j + (1 - d) <h_j>,    u_j <- d u_j + (1 - d) <|h_j|> sum_k |w_jk|,    a_j <- a_j + 1
    due <- due + rate * (number of units of the layer with a_j > maturity)
Of each hidden layer the floor(due) mature units of least utility u_j / (1 - d^a_j) are replaced:
    b_k <- b_k + m_j / (1 - d^a_j) w_jk,    w_jk <- 0        the next layer keeps its mean current
    w_ij, b_j <- as a new layer draws them;    u_j, m_j, a_j <- 0;    due <- due - 1
h_j: output of unit j, <.> the mean over the batch [];  m_j: its running mean;  u_j: its utility;
a_j: its age in steps;  d: decay;  w_ij: weights that arrive at j;  w_jk: those that leave it.

A unit of constant output is replaced without any change of the net's function; any other unit
without a change of the mean currents. A new unit has no effect until its outgoing weights have
grown, and cannot be replaced before it is mature. The optimiser's moments of all of its weights
become 0: they belong to the unit that died.

Dohare, Hernandez-Garcia, Lan, Rahman, Mahmood, Sutton, "Loss of plasticity in deep continual
learning", 2024, doi:10.1038/s41586-024-07711-7 (continual backprop). Departures: the mean of a unit
that dies is moved into the biases of the next layer, as in the authors' code and not in the paper's
algorithm; utilities are divided by 1 - d^a, so that the young are not thought useless; with Adam,
the count of steps for its bias correction is not the unit's own.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from bioplaus.hyper import Fraction, NonNegative, declared
from bioplaus.net import forward
from bioplaus.net import init as init_net
from bioplaus.salts import BORN
from bioplaus.structure.cost import Rebuilt, counted, none_yet
from bioplaus.structure.entry import check_dense, told_of
from bioplaus.types import Array, Net, PyTree


class Units(NamedTuple):
    """What is known of the units of one hidden layer. utility, mean, age: [n]. due: [], units to be
    replaced, of which a fraction is carried over.
    """

    utility: Array
    mean: Array
    age: Array
    due: Array


class Turnover(NamedTuple):
    """The state of `turnover`. inner: of the optimiser. units: of each hidden layer."""

    inner: PyTree
    units: tuple[Units, ...]
    rebuilt: Rebuilt


@declared
def turnover(
    tx: optax.GradientTransformation,
    net: Net,
    *,
    rate: NonNegative = 1e-3,
    maturity: NonNegative = 100,
    decay: Fraction = 0.99,
    transfer: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """tx, after which the least useful units are replaced; see the head of this file.

    rate: replaced units, for each mature unit and step; 0 replaces none. maturity: steps for which
    a unit is safe. decay: of the running means, per step. transfer: whether a unit's mean goes into
    the next biases; without it the function is broken, which is the control.

    `update` needs the params, and takes `batch` and `key` as extra arguments. A forward pass on the
    batch, at the weights before the step, tells outputs and utilities. Raises ValueError for
    numbers outside their domains; at init unless all layers are dense and of one moment; and in
    `update` without the params, the batch or the key.

        tx = bp.structure.turnover(optax.adam(1e-2), net, rate=1e-2, maturity=50)
    """
    optimiser = optax.with_extra_args_support(tx)

    def init(params: PyTree) -> Turnover:
        check_dense("turnover", net, params)
        sizes = [jnp.zeros_like(p["b"]) for p in params[:-1]]
        units = tuple(Units(b, b, b, jnp.zeros((), b.dtype)) for b in sizes)
        return Turnover(tx.init(params), units, none_yet())

    def update(updates: PyTree, state: Any, params: PyTree = None, **told):
        batch, key = told_of("turnover", params, told)
        outputs = forward(net, params, batch.x, key).outputs[:-1]
        changes, inner = optimiser.update(updates, state.inner, params, **told)
        seen = tuple(
            _seen(units, h, p["w"], decay)
            for units, h, p in zip(state.units, outputs, params[1:], strict=True)
        )
        chosen = [_chosen(units, rate, maturity, decay) for units in seen]
        fresh = init_net(net, jax.random.fold_in(key, BORN), batch.x)
        new: PyTree = optax.apply_updates(params, changes)
        gone = _nothing(params)
        for l, (_, dead, mean) in enumerate(chosen):
            new = _reborn(l, new, fresh[l], dead, mean if transfer else 0 * mean)
            gone = _forgotten(l, gone, dead)
        inner = optax.tree_map_params(tx, lambda v, out: jnp.where(out, 0, v), inner, gone)
        moved = sum(
            dead.sum() * (new[l]["w"].shape[0] + new[l + 1]["w"].shape[1])
            for l, (_, dead, _) in enumerate(chosen)
        )
        after = tuple(units for units, _, _ in chosen)
        changes = jax.tree.map(jnp.subtract, new, params)
        return changes, Turnover(inner, after, counted(state.rebuilt, moved))

    return optax.GradientTransformationExtraArgs(init, update)


def _seen(units: Units, h: Array, w: Array, decay) -> Units:
    """The units after one more batch of outputs h [B, n], which leave by weights w [n, n_next]."""

    def averaged(old: Array, now: Array) -> Array:
        return decay * old + (1 - decay) * now.astype(old.dtype)

    useful = jnp.abs(h).mean(0) * jnp.abs(w).sum(1)
    mean = averaged(units.mean, h.mean(0))
    return Units(averaged(units.utility, useful), mean, units.age + 1, units.due)


def _chosen(units: Units, rate, maturity, decay) -> tuple[Units, Array, Array]:
    """(units after the turnover, which of them die [n], mean output of each [n])."""
    mature, past = units.age > maturity, 1 - decay**units.age
    due = units.due + rate * mature.sum()
    rank = jnp.argsort(jnp.argsort(jnp.where(mature, units.utility / past, jnp.inf)))
    dead = (rank < jnp.floor(due)) & mature
    utility, mean, age = (jnp.where(dead, 0, a) for a in units[:3])
    return Units(utility, mean, age, due - dead.sum()), dead, units.mean / past


def _reborn(l: int, params: PyTree, fresh: PyTree, dead: Array, mean: Array) -> PyTree:
    """The params with new units in the place of the dead ones of layer l."""
    layer, following = params[l : l + 2]
    born = jax.tree.map(lambda new, old: jnp.where(dead, new, old), fresh, layer)
    lost = jnp.where(dead, mean, 0) @ following["w"]
    left = jnp.where(dead[:, None], 0, following["w"])
    return (*params[:l], born, {"w": left, "b": following["b"] + lost}, *params[l + 2 :])


def _nothing(params: PyTree) -> PyTree:
    return jax.tree.map(lambda w: jnp.zeros(w.shape, bool), params)


def _forgotten(l: int, gone: PyTree, dead: Array) -> PyTree:
    """Which params lose their moments: also those of the dead units of layer l."""
    arriving = jax.tree.map(lambda out: out | dead, gone[l])
    leaving = {**gone[l + 1], "w": gone[l + 1]["w"] | dead[:, None]}
    return (*gone[:l], arriving, leaving, *gone[l + 2 :])

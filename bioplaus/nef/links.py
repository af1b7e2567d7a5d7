"""Links: connections and probes with their weights worked out and their shapes checked."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.nef.decoders import Function, decoders, values
from bioplaus.nef.learning import Learning
from bioplaus.nef.model import Connection, Model, Probe
from bioplaus.nef.synapses import Synapse
from bioplaus.types import Array


class Link(NamedTuple):
    """A connection, ready to run. target: "" of a probe. function: of a node's output; None where
    decoders compute it. weights: [n, k]; None passes what is sent on. size: k."""

    label: str
    source: str
    target: str
    function: Function | None
    weights: Array | None
    synapse: Synapse | None
    to_neurons: bool
    learning: Learning | None
    size: int


def send(link: Link, weights: Array | None, out: Array) -> Array:
    """What a link sends [k], when its source's output is `out`."""
    u = out if link.function is None else values(link.function, out[None])[0]
    return u if weights is None else u @ weights


def links_of(model: Model) -> tuple[tuple[Link, ...], dict[str, Link]]:
    """(links of the connections, links of the probes), checked."""
    both = [*model.ensembles, *model.nodes]
    twice = sorted({name for name in both if both.count(name) > 1})
    if twice:
        raise ValueError(
            f"network: {twice[0]!r} names an ensemble and a node; give them different names"
        )
    connections = tuple(_connection(model, c) for c in model.connections)
    return connections, {name: _probe(model, name, p) for name, p in model.probes.items()}


def _connection(model: Model, c: Connection) -> Link:
    label = f"the connection from {c.source!r} to {c.target!r}"
    known(model, c.source, label)
    known(model, c.target, label)
    link = _link(model, label, c)._replace(
        target=c.target, to_neurons=c.to_neurons, learning=c.learning
    )
    if c.to_neurons and c.target not in model.ensembles:
        raise ValueError(f"network: {label} is to_neurons, and its target is a node")
    wanted = (
        model.nodes[c.target].size_in
        if c.target in model.nodes
        else model.ensembles[c.target].size
        if c.to_neurons
        else model.ensembles[c.target].dimensions
    )
    if link.size != wanted:
        raise ValueError(
            f"network: {label} sends {link.size} numbers, and its target takes {wanted}; give a"
            f" transform [{wanted}, {link.size}]"
        )
    _check_learning(model, link)
    return link


def _check_learning(model: Model, link: Link) -> None:
    learning = link.learning
    if learning is None:
        return
    if link.source not in model.ensembles or link.weights is None:
        raise ValueError(f"network: {link.label} learns, and its source is no ensemble")
    if learning.neurons and not link.to_neurons:
        raise ValueError(
            f"network: {link.label} learns by the activities of its target; give it to_neurons=True"
            " and weights [n, n of the target]"
        )
    if learning.encoders and (link.to_neurons or link.target not in model.ensembles):
        raise ValueError(
            f"network: {link.label} learns encoders; its target must be an ensemble, without"
            " to_neurons"
        )
    if learning.error is None:
        return
    size = 1 if learning.encoders else link.size
    node = model.nodes.get(learning.error)
    if node is None or node.size_out != size:
        raise ValueError(
            f"network: {link.label} learns by {learning.error!r}; expected the name of a node that"
            f" sends {size} numbers, as nef.relay({size})"
        )


def _probe(model: Model, name: str, p: Probe) -> Link:
    label = f"the probe {name!r}"
    known(model, p.source, label)
    if not p.activities:
        return _link(model, label, p)
    if p.source not in model.ensembles or any(
        given is not None for given in (p.function, p.transform, p.weights)
    ):
        raise ValueError(
            f"network: {label} records activities; give it an ensemble, and no function, transform"
            " or weights"
        )
    size = model.ensembles[p.source].size
    return Link(label, p.source, "", None, None, p.synapse, False, None, size)


def _link(model: Model, label: str, c: Connection | Probe) -> Link:
    """The link without what a probe has not."""
    if c.source in model.ensembles:
        ensemble, function = model.ensembles[c.source], None
        if c.weights is not None and c.function is not None:
            raise ValueError(f"network: {label} has weights and a function; give one of them")
        w = decoders(ensemble, c.function) if c.weights is None else jnp.asarray(c.weights)
        if w.ndim != 2 or len(w) != ensemble.size:
            raise ValueError(
                f"network: {label} has weights {w.shape}; expected [{ensemble.size}, k]"
            )
        sent = w.shape[1]
    else:
        if c.weights is not None:
            raise ValueError(f"network: {label} has weights and starts at a node; give a transform")
        function, w = c.function, None
        x = jnp.zeros((1, model.nodes[c.source].size_out))
        sent = jax.eval_shape(lambda: values(function, x)).shape[1]
    w = _transformed(label, w, c.transform, sent)
    size = sent if w is None else w.shape[1]
    return Link(label, c.source, "", function, w, c.synapse, False, None, size)


def _transformed(label: str, w: Array | None, transform: ArrayLike | None, sent: int):
    """w T^T, [., k]."""
    if transform is None:
        return w
    t = jnp.asarray(transform)
    t = t * jnp.eye(sent) if t.ndim == 0 else t
    if t.ndim != 2 or t.shape[1] != sent:
        raise ValueError(
            f"network: {label} has the transform {t.shape}; expected [k, {sent}], or a scalar"
        )
    return t.T if w is None else w @ t.T


def known(model: Model, name: str, label: str) -> None:
    """Raise ValueError unless the model has an ensemble or a node of this name."""
    if name not in model.ensembles and name not in model.nodes:
        names = ", ".join(map(repr, [*model.ensembles, *model.nodes])) or "none"
        raise ValueError(
            f"network: {label} names {name!r}, and the model's ensembles and nodes are: {names}"
        )


def in_order(names: Sequence[str], links: Sequence[Link]) -> tuple[str, ...]:
    """The names, each after those that reach it within a step.

    Raises ValueError for a loop without a synapse.
    """
    before = {
        name: {c.source for c in links if c.target == name and c.synapse is None} for name in names
    }
    order: list[str] = []
    while len(order) < len(names):
        ready = [n for n in names if n not in order and before[n] <= {*order}]
        if not ready:
            loop = ", ".join(repr(n) for n in names if n not in order)
            raise ValueError(
                f"network: {loop} wait for one another within a step; give one of the connections"
                " between them a synapse, as nef.lowpass(0.005)"
            )
        order += ready
    return tuple(order)

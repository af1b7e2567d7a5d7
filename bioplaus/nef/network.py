"""Networks: a model as two pure functions, (init, step), and runs of many steps.

Within a step, ensembles and nodes act in the order of their connections without a synapse; behind a
synapse arrives what was sent in the steps before. Learning comes last, and acts in the next step.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.hyper import Share, declared
from bioplaus.nef.ensemble import scaled_encoders
from bioplaus.nef.learning import Seen
from bioplaus.nef.links import Link, in_order, links_of, send
from bioplaus.nef.model import Model
from bioplaus.types import Array, PyTree


class State(NamedTuple):
    """What a network keeps from step to step.

    steps: how many so far []. neurons: by ensemble. encoders: scaled ones, of the ensembles whose
    encoders learn [n, d]. weights: of each connection whose weights learn [n, k], () of others.
    learning, synapses: of each connection, () without. probes: states of the probes' synapses.
    """

    steps: Array
    neurons: dict[str, PyTree]
    encoders: dict[str, Array]
    weights: tuple[PyTree, ...]
    learning: tuple[PyTree, ...]
    synapses: tuple[PyTree, ...]
    probes: dict[str, PyTree]


class Network(NamedTuple):
    """init: () -> State. step: (state, inputs {source: [size]}) -> (state, {probe: [k]}).

    sources: size of each node whose output is given from outside. dt: s.
    """

    init: Callable[[], State]
    step: Callable[[State, Mapping[str, Array]], tuple[State, dict[str, Array]]]
    sources: Mapping[str, int]
    dt: float


@declared
def network(model: Model, *, dt: Share = 0.001) -> Network:
    """The model in steps of dt seconds, 1 at most. Decoders are fitted here.

    Raises ValueError, which names the connection, for names that the model does not have, shapes
    that do not fit, and loops without a synapse.
    """
    links, probes = links_of(model)
    order = in_order([*model.nodes, *model.ensembles], links)
    fixed = {name: scaled_encoders(e) for name, e in model.ensembles.items()}
    moving = {c.target for c in links if c.learning and c.learning.encoders}

    def init():
        neurons = {name: e.neurons.start(e.voltages) for name, e in model.ensembles.items()}
        return State(
            jnp.zeros((), int),
            neurons,
            {name: e for name, e in fixed.items() if name in moving},
            tuple(c.weights if _weights_learn(c) else () for c in links),
            tuple(_ignorant(model, c) for c in links),
            tuple(_rest(c) for c in links),
            {name: _rest(p) for name, p in probes.items()},
        )

    def step(state, inputs):
        encoders = fixed | state.encoders
        weights = [
            w if _weights_learn(c) else c.weights for c, w in zip(links, state.weights, strict=True)
        ]
        waiting = zip(links, state.synapses, strict=True)
        arrived = [() if c.synapse is None else c.synapse.arrives(s) for c, s in waiting]
        neurons, out = {}, {}
        for name in order:
            into = [i for i, c in enumerate(links) if c.target == name]
            for i in into:
                if links[i].synapse is None:
                    arrived[i] = send(links[i], weights[i], out[links[i].source])
            received = [(links[i].to_neurons, arrived[i]) for i in into]
            if name in model.nodes:
                time = (state.steps + 1) * dt
                out[name] = _node(model, name, time, received, inputs)
            else:
                j = _current(model, name, encoders[name], received)
                neurons[name], out[name] = model.ensembles[name].neurons.step(
                    state.neurons[name], j, dt
                )
        seen, filtered = _record(probes, state.probes, out, dt)
        sent = zip(links, state.synapses, weights, strict=True)
        synapses = tuple(_filter(c, s, send(c, w, out[c.source]), dt) for c, s, w in sent)
        moved = _learn(model, links, state, weights, encoders, out, arrived, dt)
        return State(state.steps + 1, neurons, *moved, synapses, filtered), seen

    sources = {name: node.size_out for name, node in model.nodes.items() if node.function is None}
    return Network(init, step, sources, dt)


def run(
    network: Network,
    inputs: Mapping[str, Array] | None = None,
    *,
    steps: int | None = None,
    state: State | None = None,
) -> tuple[State, dict[str, Array]]:
    """Run for many steps: (the state after them, {probe: [T, k]}).

    inputs: {source: [T, size]}, one entry for each node made by `source`. steps: T, of a network
    without such nodes. state: as the last call returned it, to go on from there; None starts anew.
    One `jax.lax.scan`: put `jax.jit` around it, and `jax.vmap` for many runs at once.

    Raises ValueError for inputs of other names, shapes or lengths.
    """
    inputs = {name: jnp.asarray(x) for name, x in (inputs or {}).items()}
    _check_inputs(network, inputs, steps)
    length = steps if not inputs else None
    return jax.lax.scan(
        network.step, network.init() if state is None else state, inputs, length=length
    )


def _check_inputs(network: Network, inputs: Mapping[str, Array], steps: int | None) -> None:
    shapes = {name: x.shape for name, x in inputs.items()}
    lengths = {x.shape[0] if x.ndim else 0 for x in inputs.values()}
    fits = (
        shapes.keys() == {*network.sources}
        and all(len(s) == 2 and s[1] == network.sources[name] for name, s in shapes.items())
        and len(lengths | ({steps} if steps is not None else set())) == 1
    )
    if not fits:
        wanted = {name: f"[T, {size}]" for name, size in network.sources.items()}
        raise ValueError(
            f"run: got inputs {shapes} and steps={steps}; expected"
            f" {wanted or 'no inputs, and steps=T'}, of one T"
        )


def _node(model: Model, name: str, time, received, inputs) -> Array:
    node = model.nodes[name]
    if node.function is None:
        return inputs[name]
    x = sum((y for _, y in received), jnp.zeros(node.size_in))
    y = jnp.asarray(node.function(time, x))
    if y.shape != (node.size_out,):
        raise ValueError(
            f"network: the node {name!r} gave an array {y.shape}; expected [{node.size_out}]"
        )
    return y


def _current(model: Model, name: str, encoders: Array, received) -> Array:
    """J = bias + E x + gain * what arrives at the neurons."""
    e = model.ensembles[name]
    x = sum((y for to_neurons, y in received if not to_neurons), jnp.zeros(e.dimensions))
    j = e.bias + encoders @ x
    return sum((e.gain * y for to_neurons, y in received if to_neurons), j)


def _record(probes: Mapping[str, Link], states, out, dt: float):
    """(what probes see in this step, the states of their synapses after it)."""
    sent = {name: send(p, p.weights, out[p.source]) for name, p in probes.items()}
    seen = {
        name: sent[name] if p.synapse is None else p.synapse.arrives(states[name])
        for name, p in probes.items()
    }
    return seen, {name: _filter(p, states[name], sent[name], dt) for name, p in probes.items()}


def _learn(
    model: Model, links: Sequence[Link], state: State, weights, encoders, out, arrived, dt: float
) -> tuple[dict[str, Array], tuple[PyTree, ...], tuple[PyTree, ...]]:
    """(encoders, weights, states of learning) after the step."""
    moved, changed, memories = {name: encoders[name] for name in state.encoders}, [], []
    for i, c in enumerate(links):
        after, memory = state.weights[i], ()
        if c.learning is not None:
            error = out[c.learning.error] if c.learning.error else ()
            seen = Seen(out[c.source], out[c.target], arrived[i], error)
            old = encoders[c.target] if c.learning.encoders else weights[i]
            scale = _scale(model, c)
            memory, change = c.learning.step(state.learning[i], old, seen, scale, dt)
            if c.learning.encoders:
                moved[c.target] = moved[c.target] + change
            else:
                after = old + change
        changed.append(after)
        memories.append(memory)
    return moved, tuple(changed), tuple(memories)


def _scale(model: Model, link: Link) -> PyTree:
    """gain / radius of the target; () of a node."""
    e = model.ensembles.get(link.target)
    return () if e is None else e.gain / e.radius


def _weights_learn(link: Link) -> bool:
    return link.learning is not None and not link.learning.encoders


def _ignorant(model: Model, link: Link) -> PyTree:
    """The state of learning before the first step; () of a connection that does not learn."""
    if link.learning is None:
        return ()
    sizes = {name: e.size for name, e in model.ensembles.items()}
    post = jnp.zeros(sizes.get(link.target, 0))
    zeros = jnp.zeros(link.size)
    return link.learning.start(Seen(jnp.zeros(sizes[link.source]), post, zeros, zeros))


def _rest(link: Link) -> PyTree:
    return () if link.synapse is None else link.synapse.start(jnp.zeros(link.size))


def _filter(link: Link, state: PyTree, sent: Array, dt: float) -> PyTree:
    return () if link.synapse is None else link.synapse.step(state, sent, dt)

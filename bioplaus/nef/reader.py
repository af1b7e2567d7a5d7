"""Nengo's models read in: the same neurons, decoders and initial voltages, run here.

    read = nef.from_nengo(model)                                          # nengo.Network
    state, seen = nef.run(nef.network(read.model), **read.inputs(1000))   # 1,000 steps
    seen[read.names[probe]]                                               # sim.data[probe]

Nengo builds the model once, which draws and solves all that is random in it. Nodes that are f(t)
are tabulated; nodes and connections of nodes that are functions of x must be traceable by JAX.
What is not known here is refused by its name.
"""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.hyper import Share, declared
from bioplaus.nef.ensemble import Ensemble
from bioplaus.nef.learning import Learning, bcm, oja, pes, voja
from bioplaus.nef.lif import NeuronType, adaptive_lif, lif, lif_rate, rectified_linear
from bioplaus.nef.model import Connection, Model, Node, Probe, relay, source
from bioplaus.nef.synapses import Synapse, alpha, lowpass


class Read(NamedTuple):
    """model: `Model`. inputs: (steps) -> the arguments inputs and steps of `run`. names: of nengo's
    ensembles, nodes and probes in the model."""

    model: Model
    inputs: Callable[[int], dict[str, Any]]
    names: dict[Any, str]


@declared
def from_nengo(network: Any, *, dt: Share = 0.001) -> Read:
    """Read a `nengo.Network`. dt: seconds of a step.

    Raises ValueError, which names the object, for what is not known here: neurons but LIF, LIFRate,
    AdaptiveLIF and RectifiedLinear; synapses but Lowpass and Alpha; processes; noise; solvers of
    whole weight matrices; functions of x that JAX does not trace. ImportError without nengo.
    """
    nengo = _nengo()
    names = _names(network)
    with nengo.Simulator(network, dt=dt, progress_bar=False, optimize=False) as sim:
        ensembles = {names[e]: _ensemble(nengo, sim, e) for e in network.all_ensembles}
        nodes, tables = {}, {}
        for node in network.all_nodes:
            nodes[names[node]] = _node(nengo, node)
            if nodes[names[node]].function is None:
                tables[names[node]] = node.output
        rules = {c.learning_rule: c for c in network.all_connections if c.learning_rule_type}
        for rule, c in rules.items():
            names[rule] = f"learning of {names[c]}"
            if type(c.learning_rule_type).__name__ in ("PES", "Voja"):
                nodes[names[rule]] = relay(rule.size_in)
        connections = tuple(_connection(nengo, sim, c, names) for c in network.all_connections)
        probes = {names[p]: _probe(nengo, sim, p, names) for p in network.all_probes}

    def inputs(steps: int) -> dict[str, Any]:
        at = dt * np.arange(1, steps + 1)
        found = {
            name: jnp.asarray(np.array([np.ravel(f(t)) for t in at], float))
            for name, f in tables.items()
        }
        return {"inputs": found, "steps": steps}

    return Read(Model(ensembles, nodes, connections, probes), inputs, names)


def _nengo() -> Any:
    try:
        return importlib.import_module("nengo")
    except ImportError as error:
        raise ImportError("from_nengo: nengo is not installed; pip install nengo==4.1.0") from error


def _refuse(what: Any, why: str) -> ValueError:
    return ValueError(f"from_nengo: {what} {why}")


def _names(network: Any) -> dict[Any, str]:
    """Labels where they differ from all others, numbers where they do not."""
    groups = {
        "ensemble": network.all_ensembles,
        "node": network.all_nodes,
        "connection": network.all_connections,
        "probe": network.all_probes,
    }
    labels = [o.label for objects in groups.values() for o in objects]
    return {
        o: o.label if o.label and labels.count(o.label) == 1 else f"{kind} {i}"
        for kind, objects in groups.items()
        for i, o in enumerate(objects)
    }


def _ensemble(nengo: Any, sim: Any, e: Any) -> Ensemble:
    if e.noise is not None:
        raise _refuse(e, "has noise, which is not known here")
    built, signals = sim.data[e], sim.model.sig[e.neurons]
    neurons = _neurons(nengo, e)
    start = signals["voltage"].initial_value if "voltage" in signals else np.zeros(e.n_neurons)
    arrays = (built.encoders, built.gain, built.bias, float(e.radius), built.eval_points, start)
    return Ensemble(*(jnp.asarray(a) for a in arrays), neurons=neurons)


def _neurons(nengo: Any, e: Any) -> NeuronType:
    kind = e.neuron_type
    rest = kind.initial_state
    if getattr(kind, "amplitude", 1) != 1 or rest:
        raise _refuse(e, "has an amplitude or an initial state of its own, not known here")
    if type(kind) is nengo.RectifiedLinear:
        return rectified_linear()
    if type(kind) not in (nengo.LIF, nengo.LIFRate, nengo.AdaptiveLIF):
        raise _refuse(
            e, f"has neurons {kind}; known are LIF, LIFRate, AdaptiveLIF, RectifiedLinear"
        )
    times = {"tau_rc": kind.tau_rc, "tau_ref": kind.tau_ref}
    if type(kind) is nengo.LIFRate:
        return lif_rate(**times)
    times["min_voltage"] = kind.min_voltage
    if type(kind) is nengo.LIF:
        return lif(**times)
    return adaptive_lif(tau_n=kind.tau_n, inc_n=kind.inc_n, **times)


def _node(nengo: Any, node: Any) -> Node:
    output: Any = node.output
    if output is None:
        return relay(node.size_in)
    if isinstance(output, nengo.Process):
        raise _refuse(node, "is a process; give a function of t, or an array")
    if not callable(output):
        constant = jnp.asarray(output, float)
        return Node(0, node.size_out, lambda t, x: constant)
    if node.size_in == 0:
        return source(node.size_out)

    call: Callable[..., Any] = output

    def function(t, x):
        return jnp.hstack(call(t, x))

    _check_traces(node, lambda x: function(x[0], x), node.size_in)
    return Node(node.size_in, node.size_out, function)


def _check_traces(what: Any, function: Callable, size: int) -> None:
    try:
        jax.eval_shape(function, jnp.zeros(size))
    except Exception as error:
        raise _refuse(
            what,
            f"has a function that JAX does not trace ({type(error).__name__}); write it with"
            " jax.numpy, without branches on values",
        ) from error


def _synapse(nengo: Any, what: Any, synapse: Any) -> Synapse | None:
    if synapse is None:
        return None
    if type(synapse) not in (nengo.Lowpass, nengo.Alpha):
        raise _refuse(what, f"has the synapse {synapse}; known are Lowpass, Alpha and None")
    return (lowpass if type(synapse) is nengo.Lowpass else alpha)(synapse.tau)


def _connection(nengo: Any, sim: Any, c: Any, names: dict[Any, str]) -> Connection:
    if c.solver.weights:
        raise _refuse(c, "solves for whole weights; give a solver of decoders")
    target, to_neurons = c.post_obj, isinstance(c.post_obj, nengo.ensemble.Neurons)
    target = target.ensemble if to_neurons else target
    size = c.post_obj.size_in
    placed = np.zeros((size, c.size_out))
    placed[np.arange(size)[c.post_slice], np.arange(c.size_out)] = 1
    return Connection(
        names[_owner(nengo, c.pre_obj)],
        names[target],
        **_sent(nengo, c, sim.data[c].weights, placed),
        synapse=_synapse(nengo, c, c.synapse),
        to_neurons=to_neurons,
        learning=_learning(nengo, c, names),
    )


def _owner(nengo: Any, of: Any) -> Any:
    return of.ensemble if isinstance(of, nengo.ensemble.Neurons) else of


def _sent(nengo: Any, c: Any, weights: Any, placed: np.ndarray) -> dict[str, Any]:
    """function, transform and weights of what a connection sends. placed: [k, size_out]."""
    if weights is not None and not isinstance(weights, np.ndarray | float | int):
        raise _refuse(c, "has a transform that is no dense array")
    w = np.asarray(1.0 if weights is None else weights, float)
    w = w * np.eye(c.size_mid) if w.ndim == 0 else np.diag(w) if w.ndim == 1 else w
    if isinstance(c.pre_obj, nengo.Ensemble):
        return {"weights": (placed @ w).T}
    before = np.eye(c.pre_obj.size_out)[c.pre_slice]  # what the connection takes of its source
    if isinstance(c.pre_obj, nengo.ensemble.Neurons):
        return {"weights": (placed @ w @ before).T}
    if c.function is None:
        return {"transform": placed @ w @ before}

    def function(x):
        return jnp.hstack(c.function(x[c.pre_slice]))

    _check_traces(c, function, c.pre_obj.size_out)
    return {"transform": placed @ w, "function": function}


def _learning(nengo: Any, c: Any, names: dict[Any, str]) -> Learning | None:
    kind = c.learning_rule_type
    if kind is None:
        return None
    if type(kind) not in (nengo.PES, nengo.Oja, nengo.BCM, nengo.Voja):
        raise _refuse(c, f"learns by {kind}; known is one of PES, Oja, BCM and Voja")

    def behind(synapse: Any) -> Synapse:
        return _synapse(nengo, c, synapse) or _refused_synapse(c)

    rate, name = kind.learning_rate, names[c.learning_rule]
    if type(kind) is nengo.PES:
        if not isinstance(c.pre_obj, nengo.Ensemble) or c._to_neurons:
            raise _refuse(c, "learns by PES; its source must be an ensemble, its target no neurons")
        return pes(name, rate, pre=behind(kind.pre_synapse))
    if type(kind) is nengo.Voja:
        return voja(rate, post=behind(kind.post_synapse), signal=name)
    pre, post = behind(kind.pre_synapse), behind(kind.post_synapse)
    if type(kind) is nengo.Oja:
        return oja(rate, beta=kind.beta, pre=pre, post=post)
    if type(kind.theta_synapse) is not nengo.Lowpass:
        raise _refuse(c, "learns by BCM with a theta_synapse that is no Lowpass")
    return bcm(rate, theta_tau=kind.theta_synapse.tau, pre=pre, post=post)


def _refused_synapse(c: Any) -> Synapse:
    raise _refuse(c, "learns from unfiltered activities; give the rule a synapse")


def _probe(nengo: Any, sim: Any, p: Any, names: dict[Any, str]) -> Probe:
    synapse = _synapse(nengo, p, p.synapse)
    if p.attr == "decoded_output":
        made = next(
            c for c in sim.model.params if isinstance(c, nengo.Connection) and c.post_obj is p
        )
        return Probe(names[p.obj], weights=sim.data[made].weights.T, synapse=synapse)
    neurons = isinstance(p.obj, nengo.ensemble.Neurons)
    if p.slice is not None and p.slice != slice(None):
        raise _refuse(p, "records a part; record all")
    if p.attr not in ("output", "spikes", "rates") or not (
        neurons or isinstance(p.obj, nengo.Node)
    ):
        raise _refuse(
            p, f"records {p.attr!r}; known are decoded_output, and output of nodes and neurons"
        )
    return Probe(names[_owner(nengo, p.obj)], synapse=synapse, activities=neurons)

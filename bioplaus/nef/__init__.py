"""The Neural Engineering Framework (NEF): populations of neurons that represent vectors,
connections that compute functions of them, and feedback that makes dynamics. Its words are those of
nengo.

    J = gain * (E x / radius) + bias                       encode    x [d] -> currents J [n]
    x' = a D,   D = argmin |A D - f(X)|^2 / m + s^2 |D|^2  decode    activities a [n] -> f(x) [k]
    y <- p y + (1 - p) u,   p = exp(-dt / tau)            synapse   Lowpass
    D <- D - (kappa dt / n) a' err                        learn     PES

E: [n, d] encoders of length 1;  X: [m, d] evaluation points;  A: [m, n] steady rates at them;  s =
reg max A;  a': [n] activities behind a synapse;  err: [k] what was decoded minus what should have
been;  kappa: learning rate;  u: what is sent, y: what arrives. Times are in seconds and rates in
Hz, as in nengo; a spike is 1 / dt for one step. The rest of the library counts in ms.

    a = nef.ensemble(jax.random.key(0), 100, 1)
    model = nef.Model(
        ensembles={"a": a},
        nodes={"u": nef.source(1)},
        connections=(nef.Connection("u", "a", synapse=None),),
        probes={"square": nef.Probe("a", function=lambda x: x**2, synapse=nef.lowpass(0.01))},
    )
    state, seen = nef.run(nef.network(model), {"u": jnp.ones((1000, 1))})  # 1 s
    seen["square"]                                        # [1000, 1]

`run` is one scan of pure functions, so that jit and vmap apply: many seeds or inputs run at once.
With nengo's parameters networks are equal to nengo 4.1.0 within 1e-12 in float64 (tests/nef).
`from_nengo` reads its models. `represented(ensemble)` is an ensemble as a layer of an ordinary net,
for all rules and measures.

Eliasmith and Anderson, "Neural Engineering", 2003; nengo: Bekolay et al., 2014,
doi:10.3389/fninf.2013.00048. Departures from nengo: encoders and evaluation points are drawn
independently, where nengo spreads them evenly (`ScatteredHypersphere`).
"""

from bioplaus.nef.circuits import associative_memory, integrator, oscillator, product
from bioplaus.nef.decoders import decoders, ridge
from bioplaus.nef.ensemble import Ensemble, ball, current, ensemble, rates
from bioplaus.nef.layer import represented
from bioplaus.nef.learning import Learning, Seen, bcm, oja, pes, voja
from bioplaus.nef.lif import NeuronType, adaptive_lif, lif, lif_rate, rectified_linear
from bioplaus.nef.model import Connection, Model, Node, Probe, relay, source
from bioplaus.nef.network import Network, State, network, run
from bioplaus.nef.reader import Read, from_nengo
from bioplaus.nef.synapses import Synapse, alpha, lowpass

__all__ = [
    "Connection",
    "Ensemble",
    "Learning",
    "Model",
    "Network",
    "NeuronType",
    "Node",
    "Probe",
    "Read",
    "Seen",
    "State",
    "Synapse",
    "adaptive_lif",
    "alpha",
    "associative_memory",
    "ball",
    "bcm",
    "current",
    "decoders",
    "ensemble",
    "from_nengo",
    "integrator",
    "lif",
    "lif_rate",
    "lowpass",
    "network",
    "oja",
    "oscillator",
    "pes",
    "product",
    "rates",
    "rectified_linear",
    "relay",
    "represented",
    "ridge",
    "run",
    "source",
    "voja",
]

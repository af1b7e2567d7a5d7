"""Deep feedback control: a controller drives the network to an output target.

Every layer learns to need less of that help:
    v_l = a_l + u Q_l,    a_l = r_{l-1} W_l,    r_l = phi(v_l),    r_0 = x
    z <- z + rate (epsilon - alpha z),    u = z + k_p epsilon,    epsilon = y* - r_L    T times
    y* = r_L^- - lambda e
    dW_l = -(1/(B lambda)) r_{l-1}^T (phi(v_l) - phi(a_l))        at the settled state
The feedback weights learn from noise alone, in the network without a target, where the controller
is too weak to act:
    v_l = a_l + sigma xi_l,    u = (r_L^- - r_L) / sigma
    dQ_l = (1/B) u^T (xi_l + u Q_l) + gamma Q_l
a_l, v_l, r_l: [B, n_l] current without and with control, and rate of layer l;  phi: neurons;
z, u, epsilon: [B, C] integral, control, and error of the output;  y*: [B, C] target;
Q_l: [C, n_l] feedback weights of each layer, the output layer included;  r_L^-: [B, C] output
without control;  e: [B, C] = dL/dr_L there;  lambda: size of the nudge;  alpha: leak;  k_p:
proportional gain;  xi_l: [B, n_l] ~ N(0, 1);  sigma: size of the noise;  gamma: damping.
With J = dr_L/dv: [C, sum n_l] and Q: [C, sum n_l], the network settles to first order at
u = -lambda e (Q J^T + alpha' I)^-1, where alpha' = alpha / (1 + alpha k_p), and Q settles at
(J J^T + gamma I)^-1 J. This is the damped pseudo-inverse, for which the change of v by the control
is a Gauss-Newton step on the activities.

Meulemans, Tristany Farinha, Garcia Ordonez, Vilimelis Aceituno, Sacramento, Grewe, "Credit
Assignment in Neural Networks through Deep Feedback Control", 2021, arXiv:2106.07887. Strong
feedback, y* = y (here lambda = 1 with `mse`): Meulemans, Tristany Farinha, Cervera, Sacramento,
Grewe, "Minimizing Control for Credit Assignment with Strong Feedback", 2022, arXiv:2204.07249.
Departures: W learns at the settled state (the paper's DFC-SS); neurons follow the controller
instantaneously (tau_v -> 0, which has the same settled state); dW is divided by lambda. The noise
for Q is one static sample instead of a process in time, and u does not act back through Q u: this
is the limit of a large leak, in which the paper derives what Q learns. Q_L starts as the identity,
the others at zero, and Q learns for `pretraining` steps on the first batch before the first dW. For
convolutions Q_l is [C, *shape]. The default leak of 1 damps the Gauss-Newton step; the authors'
code has about 1e-3, which follows the target closely.
"""

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from bioplaus.entry import learning_rule
from bioplaus.hyper import Count, NonNegative, Positive, Size
from bioplaus.local import error_of, gates_of, pull, signals_of, spread
from bioplaus.net import drive, fire, forward, layer_key, predictor
from bioplaus.rules.shared.relax import relax
from bioplaus.salts import CONTROL
from bioplaus.types import Info, Loss, Net, OptimiserOf, OverTime, PerLayer, Rule

ADAM = optax.adam(2e-3)


CONTROLS = OverTime(
    nets="its controller drives a network that stands still to one target, until it settles"
)


class State(NamedTuple):
    """The feedback weights, of all layers including the last.

    feedback: Q_l [C, *shape of layer l's current]. opt: the state of `tx`, which trains them.
    """

    feedback: PerLayer
    opt: Annotated[Any, OptimiserOf(lambda state: state.feedback)]


@learning_rule(time=CONTROLS)
def deep_feedback_control(
    net: Net,
    loss: Loss,
    *,
    nudge: Positive = 0.1,
    steps: Count = 20,
    rate: Positive = 0.3,
    leak: NonNegative = 1.0,
    proportional: NonNegative = 0.1,
    sigma: Positive = 0.05,
    damping: NonNegative = 1.0,
    tx: optax.GradientTransformation = ADAM,
    pretraining: Size = 100,
    sample=jax.random.normal,
) -> Rule:
    """Gauss-Newton targets; parallel to backprop on a linear net at Q = J as the leak grows.

    nudge: lambda. steps: T. rate: step size of the integral, in units of its time constant. leak,
    proportional: alpha, k_p.
    sigma: noise for Q, in units of the currents. damping: gamma. tx: optimiser of Q. pretraining:
    steps of Q in `init`, before the first dW. sample: (key, shape, dtype) -> xi with mean 0 and
    variance 1.

    Where the controller does not settle, info['residual'] (`bioplaus.rules.shared.relax`) is not
    small against 1, or not finite. At k_p = 0 it settles if |1 - rate mu| < 1 for every eigenvalue
    mu of Q J^T + alpha I.

    Cost, in the letters of docs/rules.md: T F credit, beside F forward and F update.
    """

    def respond(params, first, offsets, key):
        """a_l and r_l with `offsets` [B, n_l] added to the currents. first: the current of x."""
        currents, rates = [], []
        for l, layer in enumerate(net):
            k = layer_key(key, l)
            currents.append(drive(layer, params[l], rates[-1], k) if l else first)
            rates.append(fire(layer, currents[-1] + offsets[l], k))
        return currents, rates

    def inject(u, feedback):
        return [jnp.tensordot(u, q, 1) for q in feedback]

    def align(params, state, trace, key, gates):
        """One step of Q. trace, key: a forward pass without control, and the key of its noise."""
        subkey = jax.random.fold_in(key, CONTROL)
        xi = [sample(layer_key(subkey, l), a.shape, a.dtype) for l, a in enumerate(trace.currents)]
        output = respond(params, trace.currents[0], [sigma * x for x in xi], key)[1][-1]
        u = (trace.output - output) / sigma
        grads = []
        for q, x, back, gate in zip(
            state.feedback, xi, inject(u, state.feedback), gates, strict=True
        ):
            g = spread(gate, x)
            grads.append(
                jnp.tensordot(u, g * (x + back), (0, 0)) / len(u) + damping * g.mean(0) * q
            )
        updates, opt = tx.update(tuple(grads), state.opt, state.feedback)
        return State(optax.apply_updates(state.feedback, updates), opt)

    def init(key, params, batch):
        trace = forward(net, params, batch.x, key)
        *hidden, last = trace.currents
        classes = last.shape[-1]
        zeros = tuple(jnp.zeros((classes, *a.shape[1:]), a.dtype) for a in hidden)
        feedback = (*zeros, jnp.eye(classes, dtype=last.dtype))

        def body(state, key):
            return align(
                params, state, forward(net, params, batch.x, key), key, (None,) * len(net)
            ), None

        feedback = jax.lax.scan(
            body, State(feedback, tx.init(feedback)), jax.random.split(key, pretraining)
        )[0].feedback
        return State(feedback, tx.init(feedback))  # without the momentum of the pretraining

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        with jax.named_scope("credit"):
            first, target = trace.currents[0], trace.output - nudge * error

            def control(controller, _):
                integral, epsilon = controller
                u = integral + proportional * epsilon
                epsilon = target - respond(params, first, inject(u, state.feedback), key)[1][-1]
                return integral + rate * (epsilon - leak * integral), epsilon

            (integral, epsilon), residual = relax(
                control, (jnp.zeros_like(error), target - trace.output), steps
            )
            offsets = inject(integral + proportional * epsilon, state.feedback)
            currents, rates = respond(params, first, offsets, key)
            alone = [
                fire(layer, a, layer_key(key, l))
                for l, (layer, a) in enumerate(zip(net, currents, strict=True))
            ]
        grads = []
        for l, layer in enumerate(net):
            pre = rates[l - 1] if l else batch.x
            signal = (alone[l] - rates[l]) / nudge
            grads.append(pull(layer, params[l], pre, layer_key(key, l), signal, gates[l]))
        with jax.named_scope("auxiliary"):
            state = align(params, state, trace, key, gates)
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals, residual=residual)

    return Rule(init, grad, predictor(net))

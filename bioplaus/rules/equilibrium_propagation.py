"""Equilibrium propagation: centred, one-sided with a positive or a negative nudge, and holomorphic.

The hidden layers are one recurrent network with symmetric weights, which settles to a minimum of
    Phi = sum_{l<L} [G(h_l) - h_l . a_l] + b C,    a_l = h_{l-1} W_l,    G' = f^{-1},
        C = L(f(a_L), y),    h_0 = x
    settle:  h_l <- f(a_l + h_{l+1} W_{l+1}^T),
             and for the last hidden layer  h <- f(a_{L-1} - b (dC/da_L) W_L^T)
first free (b = 0), then from the free state at one nudge b or more. Weights learn by the difference
of the phases:
    dW_l = (1/N) sum_b (1 / (b B)) [dPhi/dW_l at b - dPhi/dW_l at 0],    dPhi/dW_l = -h_{l-1}^T h_l,
    dPhi/dW_L = b h_{L-1}^T dC/da_L
    centred: b = +-beta;  one-sided: b = beta, or -beta;
        holomorphic: b = beta exp(2 pi i n / N), n = 0 .. N - 1
which is two pullbacks or more, but of the input, which is the same in all phases: between hidden
layers, one pullback of the difference of the states is wrong. With two nudges or more the 1 / b add
up to zero, and the free phase drops out.
h_l: [B, n_l]; complex at a complex b, where dW is the real part.

Scellier and Bengio, "Equilibrium Propagation: Bridging the Gap between Energy-Based Models and
Backpropagation", 2017, arXiv:1602.05179. Centred, with a readout outside of the dynamics: Laborieux
et al., "Scaling Equilibrium Propagation to Deep ConvNets", 2021, arXiv:2006.03824. Signs of the
nudge: Scellier, Ernoult, Kendall, Kumar, "Energy-based learning algorithms for analog computing: a
comparative study", 2023, arXiv:2312.15103. Holomorphic: Laborieux and Zenke, "Holomorphic
Equilibrium Propagation Computes Exact Gradients Through Finite Size Oscillations", 2022,
arXiv:2209.00530.
Departures: sweeps in layer order, each layer set to its fixed-point equation, instead of a gradient
flow (`rate`: Euler steps of it). Holomorphic: N phases that settle, not one oscillation in time;
max pooling follows the larger real part, which is holomorphic as long as no winner changes along
the circle (the paper pools by a softmax).
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.entry import learning_rule
from bioplaus.hyper import Count, Positive, Several
from bioplaus.local import error_of, gates_of, pull, signals_of, through
from bioplaus.net import fire, forward, layer_key
from bioplaus.rules.shared.relax import current, holomorphic, pulled, settle
from bioplaus.types import Info, Loss, Net, Rule


@learning_rule
def equilibrium_propagation(
    net: Net,
    loss: Loss,
    *,
    beta: Positive = 0.2,
    free_steps: Count = 15,
    nudged_steps: Count = 8,
    rate: Positive | None = None,
    fresh: bool = False,
) -> Rule:
    """The gradient of the loss AT EQUILIBRIUM up to O(beta^2), if the net contracts; not that of a
    forward pass.

    free_steps, nudged_steps: sweeps T1 and T2, (T1 + 2 T2) (F + X) in all. f must be bounded or the
    weights small: info['residual'] (of `bioplaus.rules.shared.relax`, the worst phase) is not small
    against 1, or not finite, where the net does not settle.
    rate: h <- h + rate (f(..) - h) in a sweep, an Euler step in units of the neurons' time
    constant; None is 1.
    fresh: noise is drawn anew in every sweep of every phase, as in a physical network, so that the
    difference of two phases keeps it, and divides it by beta (Laborieux and Zenke 2022). By default
    one sample serves all phases, and drops out.
    """
    return _rule(net, loss, beta, (1, -1), free_steps, nudged_steps, rate, fresh)


@learning_rule
def positive_equilibrium_propagation(
    net: Net,
    loss: Loss,
    *,
    beta: Positive = 0.3,
    free_steps: Count = 50,
    nudged_steps: Count = 8,
    fresh: bool = False,
) -> Rule:
    """One-sided, towards the target: an error of O(beta), opposite to that of a negative nudge. (T1
    + T2) (F + X) in all.

    T1 is long: what the free phase has not settled yet is divided by beta, and no second phase
    cancels it. Departures from the paper of 2017, beside those above: its code draws the sign of
    beta anew for each batch, which averages the error out; its output units settle with the hidden
    ones, in [0, 1], pulled by a squared error; its free phase starts where the example's last one
    ended; beta is 0.5 to 1, and each layer has a learning rate of its own.
    """
    return _rule(net, loss, beta, (1,), free_steps, nudged_steps, fresh=fresh)


@learning_rule
def negative_equilibrium_propagation(
    net: Net, loss: Loss, *, beta: Positive = 0.1, free_steps: Count = 15, nudged_steps: Count = 8
) -> Rule:
    """One-sided, away from the target: it descends an upper bound of the loss (Scellier et al.
    2023). See the positive one.
    """
    return _rule(net, loss, beta, (-1,), free_steps, nudged_steps)


@learning_rule
def holomorphic_equilibrium_propagation(
    net: Net,
    loss: Loss,
    *,
    beta: Positive = 0.2,
    points: Several = 4,
    free_steps: Count = 15,
    nudged_steps: Count = 8,
    fresh: bool = False,
) -> Rule:
    """The gradient at equilibrium up to O(beta^points), within the radius of analyticity in b and
    not beyond it.

    points: N, at least 2, which is `equilibrium_propagation`. (T1 + N T2) (F + X) in all for even
    N: conjugate nudges have conjugate phases, and off the real line each product is two, of real
    weights by complex activities. Raises ValueError for neurons (here) or a loss (in `init`) that
    are not holomorphic.
    """
    if points < 2:
        raise ValueError(
            f"holomorphic_equilibrium_propagation: got points={points}; give 2 or more"
        )
    for l, layer in enumerate(net):
        if not holomorphic(lambda a, layer=layer: fire(layer, a, jax.random.key(0)), 1):
            raise ValueError(
                f"holomorphic_equilibrium_propagation: the neurons of layer {l} are not holomorphic"
                " within 1/4 of the real line (a rectifier and a hard sigmoid have kinks); use"
                " tanh, sigmoid, softplus or identity"
            )

    def init(key, params, batch):
        del key, params
        if batch.x.dtype == jnp.bfloat16:
            raise ValueError(
                "holomorphic_equilibrium_propagation: bfloat16 has no complex numbers; give float32"
                " or float64"
            )
        classes = batch.y.shape[-1]
        if not holomorphic(
            lambda o: error_of(loss, o, jax.nn.one_hot(jnp.zeros(len(o), int), classes))[1], classes
        ):
            raise ValueError(
                "holomorphic_equilibrium_propagation: the loss is not holomorphic in the output, or"
                " refuses complex numbers; use cross_entropy or mse"
            )
        return ()

    real, upper = (
        (1, -1)[: 2 - points % 2],
        (complex(-1) ** (2 * i / points) for i in range(1, (points + 1) // 2)),
    )
    return _rule(net, loss, beta, (*real, *upper), free_steps, nudged_steps, fresh=fresh)._replace(
        init=init
    )


def _rule(
    net: Net,
    loss: Loss,
    beta: ArrayLike,
    directions: tuple,
    free_steps: int,
    nudged_steps: int,
    rate=None,
    fresh: bool = False,
) -> Rule:
    """directions: b / beta of the N nudged phases; a complex one stands for its conjugate, whose
    phase is conjugate, too.
    """
    last = len(net) - 1
    kinds = [[d for d in directions if isinstance(d, complex) == c] for c in (False, True)]
    n = len(kinds[0]) + 2 * len(kinds[1])

    def free_phase(params, x, key):
        trace = forward(net, params, x, key)
        first = trace.currents[0]
        return first, settle(
            net, params, first, key, trace.inputs[1:], None, free_steps, rate=rate, fresh=fresh
        )

    def read(params, below, key):
        a = current(net[last], params[last], below, layer_key(key, last))
        return a, fire(net[last], a, layer_key(key, last))

    def readout_signal(params, below, y, key):
        """dC/da_L."""
        a, output = read(params, below, key)
        return through(net[last], a, layer_key(key, last), error_of(loss, output, y)[1])

    def grad(params, state, batch, key, gate=None):
        x, y = batch.x, batch.y
        with jax.named_scope("forward"):
            first, (free, residual) = free_phase(params, x, key)
            output = read(params, (x, *free)[-1], key)[1]
        losses = loss(output, y)
        signals = signals_of(loss, losses, output, y)
        gates = gates_of(gate, signals, len(net))

        def phase(b, i):
            """The part of dW from the phase at nudge b: dPhi/dW / (N b), twice that where b is
            complex; of the first layer its signal.
            """
            share = n / 2 if jnp.iscomplexobj(b) else n

            def nudge(top):
                return -b * readout_signal(params, top, y, key)

            with jax.named_scope("forward"):
                start = tuple(a.astype(b.dtype) for a in free)
                noise = jax.random.fold_in(key, len(net) + i) if fresh else key
                h, residual = settle(
                    net, params, first, noise, start, nudge, nudged_steps, rate=rate, fresh=fresh
                )
                pre = (x, *h)
                signal = (
                    *(-post / (share * b) for post in h),
                    readout_signal(params, pre[-1], y, key) / share,
                )
            grads = [
                pulled(net[l], params[l], pre[l], layer_key(key, l), signal[l], gates[l])
                for l in range(1, len(net))
            ]
            return (signal[0].real, tuple(grads)), residual

        b = [
            jnp.asarray(beta, first.dtype) * jnp.array(kind, jnp.result_type(first.dtype, *kind))
            for kind in kinds
            if kind
        ]
        order = [i for i in jnp.split(jnp.arange(len(directions)), [len(kinds[0])]) if len(i)]
        parts, nudged = zip(*map(jax.vmap(phase), b, order), strict=True)
        # One by one: XLA's sum over a short leading axis takes as long as several sweeps on a CPU.
        signal, grads = jax.tree.map(lambda *g: sum(one for phases in g for one in phases), *parts)
        if n == 1 and last:
            away = [post / b[0][0] for post in free]
            rest = [
                pulled(net[l], params[l], free[l - 1], layer_key(key, l), away[l], gates[l])
                for l in range(1, last)
            ]
            signal, grads = (
                signal + away[0],
                (*jax.tree.map(jnp.add, grads[:-1], tuple(rest)), grads[-1]),
            )
        # once: all phases have the same input
        own = pull(net[0], params[0], x, layer_key(key, 0), signal, gates[0])
        grads = (own, *grads)
        info = Info(
            loss=losses.mean(),
            signals=signals,
            residual=jnp.maximum(residual, jnp.concatenate(nudged).max()),
        )
        return grads, state, info

    def predict(params, state, x, key, context=()):
        del state, context
        return read(params, (x, *free_phase(params, x, key)[1][0])[-1], key)[1]

    return Rule(lambda key, params, batch: (), grad, predict)

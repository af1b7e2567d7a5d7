"""Equilibria at one nudge or more of the output, and their differences: equilibrium propagation.

    dW_l = (1/N) sum_b (1 / (b B)) [dPhi/dW_l at b - dPhi/dW_l at 0]
b: the N nudges of the output;  B: examples;  Phi: the energy that the hidden layers minimise.
`bioplaus.rules.equilibrium_propagation` has Phi, the dynamics and the sources;
`bioplaus.rules.holomorphic_equilibrium_propagation` has complex b.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.local import error_of, gates_of, pull, signals_of, through
from bioplaus.net import answer, fire, forward, layer_key
from bioplaus.rules.shared.relax import current, pulled, settle
from bioplaus.types import Info, Loss, Net, Rule


def nudged(
    net: Net,
    loss: Loss,
    beta: ArrayLike,
    directions: tuple[complex, ...],
    free_steps: int,
    nudged_steps: int,
    rate: ArrayLike | None = None,
    fresh: bool = False,
) -> Rule:
    """The rule that learns from the equilibria at b = 0 and at b = beta d, d in `directions`.

    A complex direction stands for its conjugate too: the phase at the conjugate nudge is the
    conjugate phase, and is not computed.
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
        """a_L and the output, from the activities of the last hidden layer."""
        a = current(net[last], params[last], below, layer_key(key, last))
        return a, fire(net[last], a, layer_key(key, last))

    def readout_signal(params, below, y, key):
        """dC/da_L."""
        a, output = read(params, below, key)
        return through(net[last], a, layer_key(key, last), error_of(loss, output, y)[1])

    def difference_to_free(params, free, b, signal, grads, key, gates):
        """`signal` and `grads` of the one nudged phase, less those of the free phase.

        With two nudges or more the factors 1 / b add up to zero, and the free phase cancels.
        """
        away = [post / b for post in free]
        rest = [
            pulled(net[l], params[l], free[l - 1], layer_key(key, l), away[l], gates[l])
            for l in range(1, last)
        ]
        return signal + away[0], (*jax.tree.map(jnp.add, grads[:-1], tuple(rest)), grads[-1])

    def grad(params, state, batch, key, gate=None):
        x, y = batch.x, batch.y
        with jax.named_scope("forward"):
            first, (free, residual) = free_phase(params, x, key)
            output = read(params, (x, *free)[-1], key)[1]
        losses = loss(output, y)
        signals = signals_of(loss, losses, output, y)
        gates = gates_of(gate, signals, len(net))

        def phase(b, i):
            """The phase at nudge b: (signal of the first layer, dPhi/dW of the others) / (N b).

            Twice that for a complex b, which stands for its conjugate too.
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
        parts, residuals = zip(*map(jax.vmap(phase), b, order), strict=True)
        # One by one: XLA's sum over a short leading axis takes as long as several sweeps on a CPU.
        signal, grads = jax.tree.map(lambda *g: sum(one for phases in g for one in phases), *parts)
        if n == 1 and last:
            signal, grads = difference_to_free(params, free, b[0][0], signal, grads, key, gates)
        # The first layer has the same input in all phases: one pullback serves them all.
        grads = (pull(net[0], params[0], x, layer_key(key, 0), signal, gates[0]), *grads)
        residual = jnp.maximum(residual, jnp.concatenate(residuals).max())
        return grads, state, Info(loss=losses.mean(), signals=signals, residual=residual)

    def init(key, params, batch):
        del key, params, batch
        return ()

    def predict(params, state, x, key, context=(), asked=None):
        del state, context
        output = read(params, (x, *free_phase(params, x, key)[1][0])[-1], key)[1]
        return answer(net, output, asked)

    return Rule(init, grad, predict)

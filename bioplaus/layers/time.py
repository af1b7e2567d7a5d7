"""Layers over time: a layer of one moment becomes one of whole sequences, and stays a layer.

    over_time(layer)          current_t = synapse(x_t)
    recurrent(layer, back)    current_t = synapse(x_t) + back(z_{t-1})
x_t: [B, ...] input at moment t;  z_t: [B, n] output of the layer's own neurons, z_0 = 0 at rest.
Inputs, currents and outputs are [B, T, ...]. The synapses see all moments in one product, as if
they were so many examples; the neurons, and `back`, run in a scan.

All that is local stays local: `credit` takes no path through time, and `neuron` only the neurons'
own. The path through the layer's own synapses is `Time.closed`, which `bioplaus.local.backward`
takes. So backprop is backprop through time, feedback alignment has random feedback in depth and in
time, and `through` and `pull` alone are local in time.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bioplaus.checks import knows_itself, of_one_moment, of_two_parts
from bioplaus.context import changed, within
from bioplaus.hyper import Count, Milliseconds, declared
from bioplaus.layers.moments import (
    Steps,
    at_rest,
    echo,
    first_current,
    first_shapes,
    over_moments,
    past_at_rest,
    scan_moments,
    scanned_neuron,
    through_moments,
    through_neurons,
)
from bioplaus.neurons.spiking import in_float32, in_steps
from bioplaus.pools import pools_moments
from bioplaus.salts import NEURON, RECURRENT, SYNAPSE
from bioplaus.types import (
    Array,
    ClosedFn,
    Key,
    Layer,
    Past,
    Played,
    PyTree,
    RunFn,
    StartFn,
    ThroughFn,
    Time,
)


@declared
def over_time(
    layer: Layer, *, dt: Milliseconds = 1.0, horizon: Count | None = None, unroll: Count = 1
) -> Layer:
    """The layer on sequences [B, T, ...], its neurons from rest: current_t = synapse(x_t).

    x: [B, T, ...], current and output [B, T, n]. params: those of the layer.

        over_time(dense(100, lif(tau=20.0)), dt=1.0)

    dt: length of a moment in ms, for the time constants of the layer.
    horizon: truncates backprop through time: the moments are cut into stretches of this many, from
    rest on, and no gradient passes from one to the one before. None cuts nothing.
    unroll: moments in one turn of the scan; it changes the speed alone.

    Synaptic noise that has no state is drawn once for the whole sequence; that of neurons is drawn
    at each moment. Backprop through time: Werbos, 1990, doi:10.1109/5.58337; truncated, Williams,
    Peng, 1990, doi:10.1162/neco.1990.2.4.490. Raises ValueError for a layer over time, and for
    inputs without moments.
    """
    of_one_moment("over_time", layer)
    return _feedforward(in_steps_of(layer, dt), Steps(float(dt), horizon, unroll))


@declared
def recurrent(
    layer: Layer,
    back: Layer,
    *,
    dt: Milliseconds = 1.0,
    horizon: Count | None = None,
    unroll: Count = 1,
) -> Layer:
    """`over_time` of a layer that hears its own output of the moment before, through `back`.

    current_t = synapse(x_t) + back(z_{t-1}). z_t: output [B, n] of moment t, 0 before the first.
    back: a layer whose synapses map the output [B, n] to the current; its neurons are not used.
    params: {"in": those of layer, "back": those of back}. Other arguments as of `over_time`.

        recurrent(dense(100, lif()), dense(100))

    Raises ValueError for layers over time, for a `back` that gives another shape, and for one whose
    neurons have noise, a time constant or spikes.
    """
    for each in (layer, back):
        of_one_moment("recurrent", each)
    if back.neuron.off or back.neuron.at or back.neuron.spikes:
        raise ValueError(
            "recurrent: the neurons of `back` are not used, and these have noise, a time constant"
            " or spikes; give bp.dense(n) without them, and them to the layer itself"
        )
    return _recurrent(
        in_steps_of(layer, dt), in_steps_of(back, dt), Steps(float(dt), horizon, unroll)
    )


@pools_moments
def mean_over_time(outputs: Array) -> Array:
    """[B, T, ...] -> [B, ...], the mean of all moments: `after(mean_over_time, dense(10))`.
    Raises ValueError for inputs without moments."""
    _sequence("mean_over_time", outputs)
    return outputs.mean(1)


@pools_moments
def last_moment(outputs: Array) -> Array:
    """[B, T, ...] -> [B, ...], the last moment. Raises ValueError for inputs without moments."""
    _sequence("last_moment", outputs)
    return outputs[:, -1]


def in_steps_of(layer: Layer, dt: float) -> Layer:
    """A layer of one moment whose time constants are taken at steps of dt ms, in float32."""
    placed = layer.at(dt) if layer.at else layer
    return placed._replace(
        neuron=in_float32(in_steps(layer.neuron, dt)),
        off=layer.off and in_steps_of(layer.off, dt),
    )


def _sequence(where: str, x: Array) -> None:
    if x.ndim < 3 or x.shape[1] == 0:
        raise ValueError(
            f"{where}: the input is {x.shape}, expected sequences [B, T, ...] of 1 moment or more;"
            " bp.encoders.in_front(net, encoder) turns images into sequences"
        )


def _feedforward(moment: Layer, steps: Steps) -> Layer:
    swept, credit = over_moments(moment, steps.context)

    def init(key, x):
        _sequence("over_time", x)
        return moment.init(key, x[:, 0])

    def synapse(params, heard, x, key):
        del heard
        return (), swept(params, None, x, key)[1]

    def start(params, x):
        _sequence("over_time", x)
        return past_at_rest(moment, params, x, ())

    def run(params, past, x, key):
        _sequence("over_time", x)
        t, synapses, _, neurons = start(params, x) if past is None else past
        synapses, current = swept(params, synapses, x, jax.random.fold_in(key, SYNAPSE))
        scanned = scanned_neuron(moment.neuron, steps)
        (t, neurons), output = scanned.step((t, neurons), current, jax.random.fold_in(key, NEURON))
        return Played((), current, output, Past(t, synapses, (), neurons))

    def lift(change):
        return _feedforward(changed(moment, change), steps)

    def gained(gain):
        return _feedforward(moment, steps._replace(gains=(gain, *steps.gains)))

    neuron, through = scanned_neuron(moment.neuron, steps), through_neurons(moment.neuron, steps)
    off = moment.off and lift(_without_noise)
    time = Time(moment, steps.dt, lift, gained, start, run, through, neuron=neuron)
    time = time._replace(horizon=steps.horizon, gains=steps.gains)
    given = _given((moment,), steps, lambda steps: _feedforward(moment, steps))
    layer = Layer(init, synapse, credit, neuron, off, moment.composite, time, affine=moment.affine)
    return layer._replace(given=given)


def _recurrent(moment: Layer, back: Layer, steps: Steps) -> Layer:
    swept, credit_in = over_moments(moment, steps.context)
    swept_back, credit_back = over_moments(back, steps.context)

    def init(key, x):
        _sequence("recurrent", x)
        k_in, k_back = jax.random.split(key)
        inner = moment.init(k_in, x[:, 0])
        current, z = first_shapes(moment, inner, x)
        silence = jnp.zeros(z.shape, z.dtype)
        own = back.init(k_back, silence)
        sent = jax.eval_shape(lambda: first_current(back, own, silence))
        if sent.shape != current.shape:
            raise ValueError(
                f"recurrent: `back` maps the layer's output {z.shape} to {sent.shape}, expected the"
                f" shape of its current, {current.shape}"
            )
        return {"in": inner, "back": own}

    def synapse(params, heard, x, key):
        knows_itself("synapse", heard)
        k_in, k_back = _keys(key)
        current = swept(params["in"], None, x, k_in)[1]
        return (), current + swept_back(params["back"], None, heard, k_back)[1]

    def credit(params, feedback, heard, x, key, signal):
        knows_itself("credit", heard)
        k_in, k_back = _keys(key)
        inner, below = credit_in(params["in"], feedback["in"], (), x, k_in, signal)
        own, _ = credit_back(params["back"], feedback["back"], (), heard, k_back, signal)
        return {"in": inner, "back": own}, below

    def lift(change):
        return _recurrent(changed(moment, change), changed(back, change), steps)

    def gained(gain):
        return _recurrent(moment, back, steps._replace(gains=(gain, *steps.gains)))

    neuron = scanned_neuron(moment.neuron, steps)
    time = Time(moment, steps.dt, lift, gained, *_loop(moment, back, steps), neuron=neuron)
    return Layer(
        init,
        synapse,
        credit,
        neuron,
        lift(_without_noise) if moment.off or back.off else None,
        True,  # errors cross `back` inside the layer, whatever layer it is
        time._replace(horizon=steps.horizon, gains=steps.gains),
        affine=moment.affine and back.affine,
        given=_given((moment, back), steps, lambda steps: _recurrent(moment, back, steps)),
    )


def _given(
    parts: tuple[Layer, ...], steps: Steps, make: Callable[[Steps], Layer]
) -> Callable[[PyTree], Layer] | None:
    """`Layer.given` of a layer over time. parts: what it is made of. make: the layer in steps."""
    if steps.context is not None or all(part.given is None for part in parts):
        return None
    return lambda context: make(steps._replace(context=context))


def _keys(key: Key) -> tuple[Key, Key]:
    """Of a SYNAPSE key: for the synapses of the input, and for the layer's own."""
    return key, jax.random.fold_in(key, RECURRENT)


def _loop(moment: Layer, back: Layer, steps: Steps) -> tuple[StartFn, RunFn, ThroughFn, ClosedFn]:
    """`start`, `run`, `through` and `closed` of a recurrent layer."""
    swept = over_moments(moment, steps.context)[0]

    def start(params, x):
        _sequence("recurrent", x)
        z = first_shapes(moment, params["in"], x)[1]
        past = past_at_rest(moment, params["in"], x, jnp.zeros(z.shape, z.dtype))
        return past._replace(synapses=(past.synapses, at_rest(back, params["back"], past.output)))

    def run(params, past, x, key):
        _sequence("recurrent", x)
        k_in, k_back = _keys(jax.random.fold_in(key, SYNAPSE))
        of_two_parts(params)
        t, (s_in, s_back), z, neurons = start(params, x) if past is None else past
        s_in, current = swept(params["in"], s_in, x, k_in)

        def hear(state, z, context):
            return within(back, context).synapse(params["back"], state, z, k_back)

        after, (current, output) = scan_moments(
            moment.neuron,
            steps,
            Past(t, s_back, z, neurons),
            current,
            jax.random.fold_in(key, NEURON),
            hear,
        )
        heard = jnp.concatenate([z[:, None], output[:, :-1]], 1)
        return Played(heard, current, output, after._replace(synapses=(s_in, after.synapses)))

    def closed(params, feedback, current, key, signal):
        """The vjp of the scan at known currents: a product with `feedback` back, none forward."""
        neurons = moment.neuron.init(current[:, 0])
        z = jax.eval_shape(lambda: moment.neuron.step(neurons, current[:, 0], key)[1])
        z = jnp.zeros(z.shape, z.dtype)
        k_back = _keys(jax.random.fold_in(key, SYNAPSE))[1]
        hear = echo(back, params["back"], feedback["back"], k_back, current[:, 0])
        past = Past(jnp.zeros((), jnp.int32), at_rest(back, params["back"], z), z, neurons)
        k_neuron = jax.random.fold_in(key, NEURON)

        with jax.named_scope("credit"):
            return through_moments(moment.neuron, steps, past, current, k_neuron, hear, signal)

    return start, run, through_neurons(moment.neuron, steps), closed


def _without_noise(layer: Layer) -> Layer:
    return layer.off or layer

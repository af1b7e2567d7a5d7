"""Checks of layers over time by short names, and mistakes in these layers that each must fail."""

import types
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import test_bad_inputs as bad
import test_bad_nets as bad_nets
import test_truths as truths
import test_two_compartments as two
import test_wrappers as wrappers
from nets import Case

from bioplaus import checks, net
from bioplaus import gains as shapes
from bioplaus.layers import gains, moments, time

F, R = False, True


def bptt(*args, **kwargs):
    return partial(truths.test_backprop_is_backprop_through_time, Case(*args, **kwargs))


FEEDFORWARD = bptt("alif", (F, F), False)
LOOP = bptt("alif", (R, F), True, True)
CUT = bptt("lif", (R, F), False, True, horizon=3)
WAITS = bptt("lif", (R,), False, refractory=2.0)
ZERO = bptt("lif", (F,), False, reset="to_zero")
UNDECAYED = bptt("alif", (F,), False, reset="subtract_undecayed")
SLOW = bptt("alif", (F,), False, True, dt=4.0)
RANDOM = partial(
    truths.test_feedback_alignment_has_random_feedback_in_depth_and_in_time, Case("lif", (R, R))
)
PIECES = partial(truths.test_pieces_are_the_whole_with_noise_and_gains, "spikes")
GAINS = truths.test_gains_of_moments_and_the_shapes_that_are_refused
MODES = truths.test_noise_modes_and_gains_in_either_order
ASKED = truths.test_only_asked_moments_teach
SIZES = truths.test_as_many_moments_as_examples_and_inputs
EACH = wrappers.test_release_at_each_moment_in_pieces_is_the_whole
MEAN = wrappers.test_the_mean_of_a_noisy_current_moves_the_state
DRAWN = wrappers.test_release_is_drawn_once_a_sequence_or_at_each_moment


def refused(name):
    where = bad_nets if name in bad_nets.NETS else bad
    return partial(where.test_refused_in_one_line, name)


class Mistake(NamedTuple):
    """old stands once in the module; check: what must fail with `new` in its place."""

    module: types.ModuleType
    name: str
    old: str
    new: str
    check: Callable[[], None]


LAYERS = [
    Mistake(
        time,
        "errors cross the forward weights in time",
        "feedback['back'], k_back",
        "params['back'], k_back",
        RANDOM,
    ),
    Mistake(
        time,
        "a layer hears this moment",
        "[z[:, None], output[:, :-1]], 1)",
        "[output[:, :1], output[:, 1:]], 1)",
        LOOP,
    ),
    Mistake(
        time,
        "what was heard is forgotten between pieces",
        "after._replace(synapses=(s_in, after.synapses))",
        "after._replace(synapses=(s_in, after.synapses), output=0 * z)",
        PIECES,
    ),
    Mistake(
        time,
        "synapses draw anew in each piece",
        "jax.random.fold_in(key, SYNAPSE))\n        scanned",
        "jax.random.fold_in(key, SYNAPSE + t))\n        scanned",
        PIECES,
    ),
    Mistake(
        net,
        "noise modes do not reach layers over time",
        "return still.time.lift(quiet)",
        "return still",
        MODES,
    ),
    Mistake(
        time,
        "gains are lost on lifting",
        "changed(back, change), steps)",
        "changed(back, change), steps._replace(gains=()))",
        MODES,
    ),
    Mistake(
        time,
        "time constants are those of 1 ms",
        "in_float32(in_steps(layer.neuron, dt))",
        "in_float32(layer.neuron)",
        SLOW,
    ),
    Mistake(
        time,
        "no check of `back`",
        "if sent.shape != current.shape:",
        "if False:",
        refused("back of a wrong width"),
    ),
    Mistake(
        checks,
        "no check of what was heard",
        "if isinstance(heard, tuple):",
        "if False:",
        refused("a rule that does not tell what was heard"),
    ),
    Mistake(
        moments,
        "the clock stands still",
        "Past(t + 1, synapses, z, neurons), (current, z)",
        "Past(t, synapses, z, neurons), (current, z)",
        PIECES,
    ),
    Mistake(
        moments,
        "one draw of neurons for all moments",
        "jax.random.fold_in(key, t))",
        "key)",
        partial(wrappers.test_noise_of_neurons_acts_in_each_place, "gaussian"),
    ),
    Mistake(
        moments,
        "stretches begin one moment late",
        "cut = t % steps.horizon == 0",
        "cut = t % steps.horizon == 1",
        CUT,
    ),
    Mistake(
        moments,
        "stretches do not cut what is heard",
        "synapses, z, neurons = jax.tree.map",
        "synapses, _, neurons = jax.tree.map",
        CUT,
    ),
    Mistake(
        moments,
        "the way back starts at the first moment",
        "reverse=True, unroll",
        "reverse=False, unroll",
        LOOP,
    ),
    Mistake(
        moments,
        "the state carries no error",
        "jax.vjp(one, state, here)[1]((later, at_output))",
        "jax.vjp(one, state, here)[1]((jax.tree.map(jnp.zeros_like, later), at_output))",
        FEEDFORWARD,
    ),
    Mistake(
        gains,
        "the scale acts on the output",
        "current = current * jnp.asarray(gain.scale) + gain.offset",
        "current = current + gain.offset",
        wrappers.test_gains_act_on_the_neurons_in_each_place,
    ),
    Mistake(
        gains,
        "out is overlooked",
        "output = output * jnp.asarray(gain.out)",
        "output = output * 1",
        wrappers.test_gains_act_on_the_neurons_in_each_place,
    ),
    Mistake(shapes, "gains of any shape", "not spans(gain.shape, axes)", "False", GAINS),
    Mistake(
        gains,
        "out fits the current",
        "fitted(g.out, *sent)",
        "fitted(g.out, *inside)",
        two.test_scale_and_offset_fit_the_currents_and_out_the_output,
    ),
    Mistake(
        moments,
        "moments folded time first",
        "return x.reshape(-1, *x.shape[2:])",
        "return jnp.swapaxes(x, 0, 1).reshape(-1, *x.shape[2:])",
        SIZES,
    ),
    Mistake(
        moments,
        "synapses always from rest",
        "state = rest(params, x[:, 0]) if state is None else state",
        "state = rest(params, x[:, 0])",
        EACH,
    ),
]

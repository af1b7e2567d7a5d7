"""Mistakes in layers over time and spiking neurons: each fails the check that is named beside it.

A mistake replaces code of a function in place, as `ast.unparse` writes it, while the check runs.
The checks are the tests of this folder; without a mistake they pass, as their own tests say.
"""

import contextlib
import inspect
import types
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import pytest
import test_bad_inputs as bad
import test_truths as truths
import test_wrappers as wrappers
from mutants import code_of
from nets import Case

from bioplaus import batches, checks, local, losses, net
from bioplaus.layers import moments, time
from bioplaus.neurons import noise, spiking, surrogate

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
    return partial(bad.test_refused_in_one_line, name)


class Mistake(NamedTuple):
    """old stands once in the module; check: what must fail with `new` in its place."""

    module: types.ModuleType
    name: str
    old: str
    new: str
    check: Callable[[], None]


MISTAKES = [
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
        "return _recurrent(change(moment), change(back), steps)",
        "return _recurrent(change(moment), change(back), steps._replace(gains=()))",
        MODES,
    ),
    Mistake(
        time,
        "time constants are those of 1 ms",
        "neuron=in_steps(layer.neuron, dt)",
        "neuron=layer.neuron",
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
        time,
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
        moments,
        "the scale acts on the output",
        "current = current * jnp.asarray(gain.scale) + gain.offset",
        "current = current + gain.offset",
        wrappers.test_gains_act_on_the_neurons_in_each_place,
    ),
    Mistake(
        moments,
        "out is overlooked",
        "output = output * jnp.asarray(gain.out)",
        "output = output * 1",
        wrappers.test_gains_act_on_the_neurons_in_each_place,
    ),
    Mistake(moments, "gains of any shape", "if len(axes) != g.ndim or", "if False and", GAINS),
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
    Mistake(
        spiking,
        "the reset keeps its derivative",
        "jax.lax.stop_gradient(z) if detached else z, threshold, a)\n            return (Adaptive",
        "z, threshold, a)\n            return (Adaptive",
        LOOP,
    ),
    Mistake(
        spiking,
        "adaptation does not fall back",
        "Adaptive(v, r * state.b + z)",
        "Adaptive(v, state.b + z)",
        FEEDFORWARD,
    ),
    Mistake(
        spiking,
        "the threshold falls with adaptation",
        "threshold - beta * state.b",
        "threshold + beta * state.b",
        FEEDFORWARD,
    ),
    Mistake(
        spiking,
        "decayed subtraction",
        "return u - theta * z / a",
        "return u - theta * z",
        UNDECAYED,
    ),
    Mistake(
        spiking,
        "half a reset",
        "return u * (1 - z)",
        "return u * (1 - z / 2)",
        ZERO,
    ),
    Mistake(
        spiking,
        "one moment too few of refractory time",
        "state.wait - 1, 0)",
        "state.wait - 2, 0)",
        WAITS,
    ),
    Mistake(
        surrogate,
        "a surrogate twice as wide",
        "psi(x[0]) * dx[0]",
        "psi(x[0] / 2) * dx[0]",
        FEEDFORWARD,
    ),
    Mistake(
        noise,
        "the mean leaves the state",
        "return jax.tree.map(lambda *each:",
        "return (state, answers[0][1]) if True else jax.tree.map(lambda *each:",
        MEAN,
    ),
    Mistake(
        noise,
        "one draw for all moments",
        "jax.random.fold_in(key, state.t.astype(jnp.int32))",
        "jax.random.fold_in(key, 0)",
        DRAWN,
    ),
    Mistake(
        losses,
        "moments that are not asked count",
        "jnp.where(asked, losses, 0).sum(1)",
        "losses.sum(1)",
        ASKED,
    ),
    Mistake(
        losses,
        "the mean for the sum",
        "jnp.where(asked, losses, 0).sum(1)",
        "jnp.where(asked, losses, 0).mean(1)",
        LOOP,
    ),
    Mistake(
        batches,
        "asked is overlooked",
        "return _floats(y, x) if asked is None else",
        "return _floats(y, x) if True else",
        ASKED,
    ),
    Mistake(
        batches,
        "no check of sequences",
        "if time is not None and time.encoder is None and",
        "if False and",
        refused("images for a trained net"),
    ),
    Mistake(
        local,
        "no way through the layer's own synapses",
        "if layer.time is None or layer.time.closed is None:",
        "if True:",
        LOOP,
    ),
    Mistake(
        local,
        "a gate of examples taken for one of moments",
        "gate.reshape(gate.shape + (1,) * (like.ndim - gate.ndim))",
        "gate.reshape((1,) * (like.ndim - gate.ndim - 1) + gate.shape + (1,))",
        SIZES,
    ),
    Mistake(
        net,
        "the last pasts are not used",
        "play(layer, p, pasts[l], x,",
        "play(layer, p, None, x,",
        PIECES,
    ),
    Mistake(
        net,
        "layers of any dt",
        "if len(found) > 1:",
        "if False:",
        refused("layers of different dt"),
    ),
    Mistake(
        net,
        "layers of one moment anywhere",
        "if None in steps[:last]:",
        "if False:",
        refused("a memoryless layer among lifted ones"),
    ),
    Mistake(
        checks,
        "any past",
        "if have != want:",
        "if False:",
        refused("the pasts of another batch size"),
    ),
    Mistake(
        checks,
        "any number of pasts",
        "or len(pasts) != len(net):",
        "or False:",
        refused("too few pasts"),
    ),
]


@contextlib.contextmanager
def made(mistake):
    """The module's functions run with the mistake, wherever they have been imported."""
    code, module = code_of(mistake.module), mistake.module
    assert code.count(mistake.old) == 1, f"stands {code.count(mistake.old)} times: {mistake.old}"
    changed = compile(code.replace(mistake.old, mistake.new), "<mistake>", "exec")
    truths.posed.cache_clear()  # its nets hold functions that were made by the code before
    before = {}
    for part in changed.co_consts:
        function = inspect.unwrap(vars(module).get(getattr(part, "co_name", ""), made))
        if inspect.isfunction(function) and function.__module__ == module.__name__:
            before[function], function.__code__ = function.__code__, part
    try:
        yield
    finally:
        truths.posed.cache_clear()
        for function, own in before.items():
            function.__code__ = own


FEW = ("errors cross the forward weights in time", "stretches begin one moment late", "any past")


@pytest.mark.parametrize(
    "mistake",
    [pytest.param(m, marks=() if m.name in FEW else pytest.mark.slow) for m in MISTAKES],
    ids=lambda m: m.name,
)
def test_a_mistake_fails_its_check(mistake):
    """The check fails and does not break; where an error is due, any other error fails it."""
    test = getattr(mistake.check, "func", mistake.check)
    failures = (AssertionError, pytest.fail.Exception)
    if test is bad.test_refused_in_one_line:
        failures = (*failures, TypeError, ValueError, IndexError, AttributeError)
    exact = test.__module__ == truths.__name__
    with jax.disable_jit(), jax.enable_x64(exact), made(mistake), pytest.raises(failures):
        mistake.check()


def test_no_mistake_is_none():
    """The control: code that is replaced by itself fails nothing."""
    same = MISTAKES[0]._replace(new=MISTAKES[0].old)
    with jax.disable_jit(), jax.enable_x64(), made(same):
        same.check()

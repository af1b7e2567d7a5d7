"""Mistakes in layers over time and spiking neurons: each fails the check that is named beside it.

A mistake replaces code of a function in place, as `ast.unparse` writes it, while the check runs.
The checks are the tests of this folder; without a mistake they pass, as their own tests say.
"""

import contextlib
import inspect

import jax
import pytest
import test_bad_inputs as bad
import test_bad_nets as bad_nets
import test_truths as truths
from mistakes import (
    ASKED,
    DRAWN,
    FEEDFORWARD,
    LAYERS,
    LOOP,
    MEAN,
    PIECES,
    SIZES,
    UNDECAYED,
    WAITS,
    ZERO,
    Mistake,
    refused,
)
from mutants import code_of

from bioplaus import batches, checks, local, losses, net
from bioplaus.neurons import noise, resets, spiking, surrogate, synaptic_noise

OTHERS = [
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
        resets,
        "decayed subtraction",
        "return u - theta * z / a",
        "return u - theta * z",
        UNDECAYED,
    ),
    Mistake(
        resets,
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
        synaptic_noise,
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
MISTAKES = LAYERS + OTHERS


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


FEW = ("any past",)


@pytest.mark.parametrize(
    "mistake",
    [pytest.param(m, marks=() if m.name in FEW else pytest.mark.slow) for m in MISTAKES],
    ids=lambda m: m.name,
)
def test_a_mistake_fails_its_check(mistake):
    """The check fails and does not break; where an error is due, any other error fails it."""
    test = getattr(mistake.check, "func", mistake.check)
    failures = (AssertionError, pytest.fail.Exception)
    if test in (bad.test_refused_in_one_line, bad_nets.test_refused_in_one_line):
        failures = (*failures, TypeError, ValueError, IndexError, AttributeError)
    exact = test.__module__ == truths.__name__
    with jax.disable_jit(), jax.enable_x64(exact), made(mistake), pytest.raises(failures):
        mistake.check()


def test_no_mistake_is_none():
    """The control: code that is replaced by itself fails nothing."""
    same = MISTAKES[0]._replace(new=MISTAKES[0].old)
    with jax.disable_jit(), jax.enable_x64(), made(same):
        same.check()

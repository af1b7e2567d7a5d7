"""Where a user's net, loss, batch and hyperparameters enter a learning rule, and are checked.

`learning_rule` decorates every rule factory, the library's and yours. Inside the factory
    loss    gives [B], one number per example (a mean or a sum would scale every gradient)
    batch   is a `Batch` of JAX arrays with equal leading axes; from outside it may be a tuple
            (x, y), and hold numpy arrays and integer labels
    hyper   lies in the domains that the factory's signature declares (`bioplaus.hyper`)
and errors are explained in the library's terms. All checks run while a program is traced, and leave
nothing in the program.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, overload

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bioplaus.batches import check_sequences, checked_batch, checked_context, checked_inputs
from bioplaus.context import hearing
from bioplaus.encoders.front import received, without_encoder
from bioplaus.hyper import check, optimisers
from bioplaus.losses import per_example
from bioplaus.net import check_depth, time_step
from bioplaus.support import check_hears, check_support
from bioplaus.types import Array, Layer, Loss, Net, OverTime, PyTree, Rule

P = ParamSpec("P")


@overload
def learning_rule(factory: Callable[P, Rule], /) -> Callable[P, Rule]: ...
@overload
def learning_rule(
    *,
    time: OverTime | None = None,
    rewards: bool = False,
    added: bool = False,
    context: str | None = None,
) -> Callable[[Callable[P, Rule]], Callable[P, Rule]]: ...
def learning_rule(
    factory: Callable[P, Rule] | None = None,
    /,
    *,
    time: OverTime | None = None,
    rewards: bool = False,
    added: bool = False,
    context: str | None = None,
) -> Any:
    """Decorator of a rule factory (net, loss, *, hyperparameters) -> Rule, which adds the checks.

    The factory raises ValueError for a net that is not a tuple of layers, and for hyperparameters
    outside their domain; `init`, `grad` and `predict` raise it for batches, parameters and states
    that do not fit.

    time: which nets over time the rule takes. The factory then raises ValueError for the others,
    and `check_rule` checks it on spikes. Without a declaration nothing is refused.
    rewards: whether the rule learns from the rewards of a world, `context["reward"]`, and not from
    labels (`bioplaus.worlds`). Studies leave such rules out, and `check_rule` gives them rewards.
    added: whether `grad` takes a keyword `added`, (trace, gates) -> gradients, a tree of params, to
    add to its own before weights of the rule change as those of the net do. `rate_regularised`
    gives it to such rules.
    context: why the rule refuses layers that hear a context (`Layer.given`), with ValueError in the
    factory. None if it takes them: the rule is then made anew in the context of each call.

        @bp.learning_rule
        @bp.learning_rule(time=bp.types.OverTime(spikes="it divides by the derivative"))
    """
    if factory is None:
        return functools.partial(_entered, time=time, rewards=rewards, added=added, context=context)
    return _entered(factory, time, rewards, added, context)


def _entered(
    factory: Callable[P, Rule],
    time: OverTime | None,
    rewards: bool,
    added: bool,
    context: str | None,
) -> Callable[P, Rule]:
    if getattr(factory, "_entered", None) is factory:
        return factory

    @functools.wraps(factory)
    def made(net: Net, loss: Loss, **hyper: Any) -> Rule:
        check(factory, hyper)
        net = checked_net(net)
        own = [name for name in optimisers(factory) if hyper.get(name) is not None]
        hyper |= {name: checked_tx(hyper[name]) for name in own}
        loss = per_example(loss)
        name = getattr(factory, "__name__", "rule")
        check_support(name, time, net, loss)
        check_hears(name, context, net)
        rule = hearing(without_encoder(net), lambda net: factory(net, loss, **hyper))  # type: ignore[call-arg]
        return _checked(rule, net, loss)  # type: ignore[call-arg]

    made._entered = made  # itself, as for losses below  # type: ignore[attr-defined]
    made.over_time = time  # type: ignore[attr-defined]
    made.rewards = rewards  # type: ignore[attr-defined]
    made.added = added  # type: ignore[attr-defined]
    return made  # type: ignore[return-value]


def checked_tx(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """tx for weights that belong to a rule.

    Its `init` raises ValueError if labels or masks of tx are made for another tree.
    """

    def init(weights):
        try:
            return tx.init(weights)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                "tx: does not fit the weights that this rule keeps itself, whose tree is"
                f" {jax.tree.structure(weights)}; labels and masks (optax.multi_transform,"
                " optax.masked) that are a tree of the net's params fit no other: give the rule a"
                f" tx without them, or one that labels by a function ({_first_line(error)})"
            ) from error

    return tx._replace(init=init)


def checked_net(net: Any) -> Net:
    """A net as a tuple of layers. Raises ValueError for anything else."""
    net = (net,) if isinstance(net, Layer) else net
    entries = net if isinstance(net, tuple | list) else ()
    odd = next((l for l, layer in enumerate(entries) if not isinstance(layer, Layer)), None)
    if not entries or odd is not None:
        got = type(net).__name__ if odd is None else f"{_named(entries[odd])} as layer {odd}"
        raise ValueError(
            f"net: got {got}, expected a tuple of layers, as bp.mlp, bp.cnn or"
            " (bp.dense(..), bp.dense(..)) give; modules of flax.nnx become one by bp.from_flax"
        )
    time_step(tuple(net))  # refuses layers that do not run together
    return tuple(net)


def _named(thing: Any) -> str:
    return getattr(thing, "__name__", type(thing).__name__)


def check_classes(rule: str, y: Array) -> None:
    """Raise ValueError for targets with one output, under a rule that compares classes."""
    if y.shape[-1] < 2:
        raise ValueError(
            f"{rule} compares classes with one another, and y {y.shape} has one output; give two,"
            " as one-hot rows"
        )


def _check_real(net: Net, x: Array, error: Exception) -> None:
    """Raise ValueError if a rule failed because inputs are integers, such as token ids, or truth
    values, such as spikes.

    A rule may move or mark inputs, or differentiate by them, which needs real numbers.
    """
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        remedy = "embed ids before the net, or cast and scale"
        if net[0].time is not None:
            remedy = "cast spikes to float32, x.astype('float32'), and embed ids before the net"
        raise ValueError(
            f"x is {x.dtype}, and this rule needs inputs that are real numbers: {remedy}"
            f" ({_first_line(error)})"
        ) from error


def _checked(rule: Rule, net: Net, loss: Loss, piece: bool = False) -> Rule:
    """The rule behind the checks, and behind the net's encoder: it is given the moments.

    piece: whether its batches are pieces of streams.
    A state is checked only after a call has failed, because its check must trace `init`.
    """

    def init(key, params, batch):
        check_depth(net, params)
        batch = checked_batch(batch, net, loss, params, key, piece=piece)
        batch = batch._replace(x=received(net, batch.x, key))
        try:
            return rule.init(key, params, batch)
        except (TypeError, ValueError) as error:
            _check_real(net, batch.x, error)
            raise

    def grad(params, state, batch, key, gate=None, **added):
        check_depth(net, params)
        batch = checked_batch(batch, net, loss, params, key, piece=piece)
        batch = batch._replace(x=received(net, batch.x, key))
        try:
            return rule.grad(params, state, batch, key, gate, **added)
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            _check_state(state, lambda: rule.init(key, params, batch), error)
            _check_real(net, batch.x, error)
            raise

    def predict(params, state, x, key, context=(), asked=None):
        check_depth(net, params)
        x = checked_inputs(x)
        check_sequences(net, x)
        x, context = received(net, x, key), checked_context(context)
        if asked is None:
            return rule.predict(params, state, x, key, context)
        return rule.predict(params, state, x, key, context, asked=asked)  # type: ignore[call-arg]

    return Rule(init, grad, predict, rule.stream and _checked_stream(rule.stream, net, loss))


def _checked_stream(stream: Rule, net: Net, loss: Loss) -> Rule:
    if net[0].time is not None and net[0].time.encoder is not None:
        return refusing(
            "stream: the net has an encoder in front, which makes a whole sequence of each input;"
            " give the net without it, and the encoder's moments as x"
        )
    return _checked(stream, net, loss, piece=True)


def refusing(reason: str) -> Rule:
    """A rule that raises ValueError(reason) in `init` and `grad`: what cannot be had of a net."""

    def refuse(*args, **kwargs):
        raise ValueError(reason)

    return Rule(refuse, refuse, refuse)


def _check_state(state: PyTree, init: Callable[[], PyTree], error: Exception) -> None:
    """Raise ValueError if a state is not what `init` gives.

    Returns if it is, or if init fails as well.
    """
    try:
        want = jax.eval_shape(init)
    except Exception:  # the first error is the one to report
        return
    have = jax.tree.map(lambda a: jax.ShapeDtypeStruct(np.shape(a), jnp.result_type(a)), state)
    if jax.tree.leaves((have, want)) and _types(have) != _types(want):
        raise ValueError(
            f"state: got {_shapes(have)}, this rule on this net and batch has {_shapes(want)}; make"
            f" it with rule.init(key, params, batch) ({_first_line(error)})"
        ) from error


def _first_line(error: Exception) -> str:
    """The first line of an error, or its type if it has no message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _types(tree: PyTree) -> tuple[Any, list[Any]]:
    return jax.tree.structure(tree), [(a.shape, a.dtype) for a in jax.tree.leaves(tree)]


def _shapes(tree: PyTree) -> str:
    text = str(jax.tree.map(lambda a: f"{a.dtype}{list(a.shape)}", tree)).replace("'", "")
    return text if len(text) <= 200 else f"{text[:197]}..."

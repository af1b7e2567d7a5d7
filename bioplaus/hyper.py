"""Hyperparameters: which parameters of a factory are numbers, and which values each may have.

A factory declares them in its signature, one word for each parameter:

    def threshold(theta: NonNegative = 0.1, ...)
    def forward_forward(net, loss, *, strength: Positive = 1.0, hardness: Real | None = None, ...)

The words below are `typing.Annotated` numbers with a domain of the annotated-types package.
`hyperparameters(factory)` is their only reader: `declared` checks values by it, and studies,
schedules, tuning and `check_rule` use it. A number that is annotated by `ArrayLike`, `int`, `float`
or `bool` alone may be any number of its type. Parameters of other types, such as an optimiser, are
not hyperparameters; `optimisers(factory)` reads those.
"""

import contextlib
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, ParamSpec, TypeVar

import annotated_types as at
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer
from jax.typing import ArrayLike

Real = Annotated[ArrayLike, at.Gt(-math.inf), at.Lt(math.inf)]
Positive = Annotated[ArrayLike, at.Gt(0), at.Lt(math.inf)]
NonNegative = Annotated[ArrayLike, at.Ge(0), at.Lt(math.inf)]
Probability = Annotated[ArrayLike, at.Ge(0), at.Le(1)]
PositiveProbability = Annotated[ArrayLike, at.Gt(0), at.Le(1)]
Fraction = Annotated[ArrayLike, at.Ge(0), at.Lt(1)]
"""From 0 up to but not 1, as a momentum."""
Count = Annotated[int, at.Ge(1)]
PRESENTATIONS = "presentations"
Presentations = Annotated[int, at.Ge(1), PRESENTATIONS]
"""A count of steps in a row at which the rule wants to be given each batch: studies train so."""
Steps = Annotated[ArrayLike, at.Ge(1), at.Lt(math.inf)]
"""A count that may be traced."""
Level = Annotated[float, at.Gt(0), at.Lt(1)]
"""The coverage of an interval, as 0.95."""
Milliseconds = Annotated[float, at.Gt(0), at.Lt(math.inf)]
"""A length of time that a program is compiled with."""
Several = Annotated[int, at.Ge(2)]
Size = Annotated[int, at.Ge(0)]
Share = Annotated[float, at.Gt(0), at.Le(1)]
"""A number above 0, up to 1, that a program is compiled with: it is not traced, scheduled or
tuned.
"""

P = ParamSpec("P")
R = TypeVar("R")


class Hyperparameter(NamedTuple):
    """One number in a factory's signature.

    kind: type of its values (ArrayLike, int, float or bool). domain: constraints. optional: whether
    None may be given. default: `inspect.Parameter.empty` if a value must be given.
    presentations: whether it says how often in a row a rule wants each batch.
    """

    name: str
    kind: Any
    domain: tuple[at.BaseMetadata, ...]
    optional: bool
    default: Any
    presentations: bool = False

    @property
    def traced(self) -> bool:
        """Whether the value may be traced, scheduled and tuned: programs take it as an argument."""
        return self.kind is ArrayLike

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty

    def refusal(self, value: Any) -> str | None:
        """Why a value is refused, as 'expected ..., got ...'; None if it is not.

        Tracers of a traced hyperparameter are not refused.
        """
        if isinstance(value, Tracer) and not self.traced:
            return (
                f"expected {self.expected()}, known when the program is compiled, got a tracer;"
                " bind it outside of jit"
            )
        if isinstance(value, Tracer) or (value is None and self.optional):
            return None
        array = None if isinstance(value, str | bytes) or value is None else _numbers(value)
        if array is not None and array.dtype == jnp.bfloat16:
            array = array.astype(np.float32)
        if array is None or array.dtype.kind not in self._dtypes():
            return f"expected {self.expected()}, got {_short(value)}"
        if array.ndim and self.kind is not ArrayLike:
            return f"expected {self.expected()}, got an array of shape {array.shape}"
        inside = np.ones(array.shape, bool)
        for bound in self.domain:
            inside &= _within(bound, array)
        return None if inside.all() else f"expected {self.expected()}, got {_short(value)}"

    def expected(self) -> str:
        """The domain in words, as 'a number above 0'."""
        noun = {int: "a whole number", bool: "true or false"}.get(self.kind, "a number")
        bounds = [words for bound in self.domain if (words := _words(bound))]
        return " ".join([noun, " and ".join(bounds)]).strip() + (
            ", or None" if self.optional else ""
        )

    def _dtypes(self) -> str:
        return {int: "iu", bool: "b"}.get(self.kind, "iuf")


@functools.lru_cache(maxsize=512)
def _read(factory: Callable[..., Any]) -> dict[str, Hyperparameter]:
    hints, found = _hints(factory), {}
    for name, parameter in inspect.signature(factory).parameters.items():
        hint = hints.get(name)
        kind, domain, optional = _parsed(hint)
        if kind is not None:
            counts = PRESENTATIONS in getattr(hint, "__metadata__", ())
            found[name] = Hyperparameter(name, kind, domain, optional, parameter.default, counts)
    return found


@functools.lru_cache(maxsize=512)
def optimisers(factory: Callable[..., Any]) -> tuple[str, ...]:
    """The parameters of a rule's factory that are optimisers of weights that belong to the rule.

    They are annotated `optax.GradientTransformation`. Studies give each the optimiser that trains
    the net.
    """
    if isinstance(factory, functools.partial):
        return optimisers(factory.func)
    kinds = {name: (hint, *typing.get_args(hint)) for name, hint in _hints(factory).items()}
    return tuple(name for name, kind in kinds.items() if optax.GradientTransformation in kind)


def _hints(factory: Callable[..., Any]) -> dict[str, Any]:
    """Annotations by name, without those that cannot be resolved.

    An example is a name that is imported for type checkers alone.
    """
    plain: Any = inspect.unwrap(factory)
    plain = plain if inspect.isroutine(plain) or inspect.isclass(plain) else type(plain).__call__
    try:
        return typing.get_type_hints(
            plain.__init__ if inspect.isclass(plain) else plain, include_extras=True
        )
    except NameError:
        known = {**vars(typing), **getattr(plain, "__globals__", {})}
        found = {}
        for name, text in getattr(plain, "__annotations__", {}).items():
            with contextlib.suppress(NameError):
                found[name] = eval(text, known) if isinstance(text, str) else text
        return found


def hyperparameters(factory: Callable[..., Any]) -> dict[str, Hyperparameter]:
    """Name -> hyperparameter, for every number in a factory's signature.

    Values that `functools.partial` has bound become defaults. Annotations may be strings
    (`from __future__ import annotations`).
    """
    if isinstance(factory, functools.partial):
        inner = hyperparameters(factory.func)
        return {n: h._replace(default=factory.keywords.get(n, h.default)) for n, h in inner.items()}
    return dict(_read(factory))


def check(factory: Callable[..., Any], values: dict[str, Any], where: str | None = None) -> None:
    """Raise ValueError for the first value outside the domain of its parameter.

    Tracers pass, because they have no value.
    """
    known = hyperparameters(factory)
    for name, value in values.items():
        if name in known and (wrong := known[name].refusal(value)):
            raise ValueError(f"{where or getattr(factory, '__name__', factory)}: {name}: {wrong}")


def declared(factory: Callable[P, R]) -> Callable[P, R]:
    """Decorator: a function raises ValueError for values outside the domains in its signature."""
    signature = inspect.signature(factory)

    @functools.wraps(factory)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            name = getattr(factory, "__name__", str(factory))
            takes = ", ".join(signature.parameters)
            raise TypeError(f"{name}: {error}; it takes {takes}") from None
        check(factory, given)
        return factory(*args, **kwargs)

    return checked


def _parsed(hint: Any) -> tuple[Any, tuple[at.BaseMetadata, ...], bool]:
    """(kind, domain, optional) of an annotation; kind is None unless it is a number."""
    if hint == ArrayLike or hint in (int, float, bool):
        return (ArrayLike if hint == ArrayLike else hint), (), False
    if typing.get_origin(hint) is Annotated:
        kind, domain, optional = _parsed(typing.get_args(hint)[0])
        return (
            kind,
            domain + tuple(m for m in hint.__metadata__ if isinstance(m, at.BaseMetadata)),
            optional,
        )
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [m for m in typing.get_args(hint) if m is not type(None)]
        rest = members[0] if len(members) == 1 else typing.Union[tuple(members)]  # noqa: UP007
        if len(members) < len(typing.get_args(hint)):
            kind, domain, _ = _parsed(rest)
            return kind, domain, True
    return None, (), False


def _numbers(value: Any) -> np.ndarray | None:
    try:
        return np.asarray(value)
    except (TypeError, ValueError):
        return None


def _within(bound: at.BaseMetadata, values: np.ndarray) -> Any:
    match bound:
        case at.Gt(gt):
            return values > gt
        case at.Ge(ge):
            return values >= ge
        case at.Lt(lt):
            return values < lt
        case at.Le(le):
            return values <= le
    raise TypeError(
        f"hyperparameters: {bound!r} is not understood; use Gt, Ge, Lt or Le of annotated_types"
    )


def _words(bound: at.BaseMetadata) -> str:
    match bound:
        case at.Gt(value) if value != -math.inf:
            return f"above {value:g}"
        case at.Ge(value):
            return f"at least {value:g}"
        case at.Lt(value) if value != math.inf:
            return f"below {value:g}"
        case at.Le(value):
            return f"at most {value:g}"
    return ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

"""Mutants: the rules with one mistake each, as in public implementations. A test suite is worth what it kills.

    python -m tests.mutants [key ...]

A mutant is a replacement in the source of a rule, or of the functions that rules share. It is killed if a check of its rule's
family (`bioplaus.identities`) fails, or, where all of them pass, an item of the contract (`bioplaus.testing`).

The first rules' mutants stand here; those of other families in mutations/, one file each: MUTANTS, a list of
(key, name, ((old, new), ...)) and, for a mistake in local.py, True.
"""

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from unittest.mock import patch

import jax

import bioplaus
from bioplaus.identities import first_failure
from bioplaus.rules import BASELINES, RULES
from bioplaus.testing import CONTRACT, perceptron
from bioplaus.types import RuleFactory

ROOT = Path(bioplaus.__file__).parent
CORES = ("local", "rules/shared/relax", "rules/shared/inverses", "rules/shared/unsupervised")  # what families of rules share


class Mutant(NamedTuple):
    """`edits` are pairs (old, new) of source text; each old text stands exactly once, in the rule's file or in one of CORES."""

    key: str
    name: str
    edits: tuple[tuple[str, str], ...]


def _one(key: str, name: str, old: str, new: str) -> Mutant:
    return Mutant(key, name, ((old, new),))


BACK = "backward(net, params, state.feedback, trace, error, key"
GATES = "gates_of(gate, signals, len(net))"
PHI = "return jax.vjp(lambda a: fire(layer, a, key), current)[1](signal)[0]"
RETURN = "return grads, state, "
SIGN = "c * jnp.where(w < 0, -1, 1)"

MUTANTS = (
    _one("bp", "phi' dropped", PHI, "return signal"),
    _one("bp", "sign flipped", "pullback(jnp.ones_like(losses))[0]", "-pullback(jnp.ones_like(losses))[0]"),
    _one("bp", "sum for mean over the batch", "error / error.shape[0], [()]", "error, [()]"),
    _one("bp", "a gate stops the error too", "below if gates[l] is None else send(layer, p, b, x, k, signal)", "below"),
    _one("bp", "signs of W on the way back", "net, params, params, trace", "net, params, jax.tree.map(jnp.sign, params), trace"),
    _one("bp", "credit sees another noise sample", "trace, error, key, gates", "trace, error, jax.random.fold_in(key, 1), gates"),
    _one("fa", "B replaced by W", BACK, BACK.replace("state.feedback", "params")),
    _one("fa", "B drawn anew each step", BACK, BACK.replace("state.feedback", "feedback_init(net, key, params, batch.x)")),
    _one("fa", "B decays", RETURN, "return grads, State(jax.tree.map(lambda b: 0.9 * b, state.feedback)), "),
    _one("fa", "phi' dropped", PHI, "return signal"),
    _one("fa", "scale dropped", "lambda b: scale * b", "lambda b: b"),
    _one("fa", "gate ignored", GATES, GATES.replace("gate,", "None,")),
    _one("kp", "B replaced by W", BACK, BACK.replace("state.feedback", "params")),
    _one("kp", "B never learns", "State(feedback, opt)", "State(state.feedback, opt)"),
    _one("kp", "B does not decay", "state.opt, state.feedback)", "state.opt, jax.tree.map(lambda b: 0 * b, state.feedback))"),
    _one("kp", "B learns with the wrong sign", "fed_back(net, grads)", "jax.tree.map(lambda g: -g, fed_back(net, grads))"),
    _one("kp", "the optimiser of B forgets", "State(feedback, opt)", "State(feedback, state.opt)"),
    Mutant(
        "usf",
        "signs frozen at the start",
        (("jnp.mean(w**2))", "jnp.mean(w**2)) * jnp.where(w < 0, -1, 1)"), (SIGN, "c")),
    ),
    _one("usf", "signs reversed", SIGN, "c * jnp.where(w < 0, 1, -1)"),
    _one("usf", "magnitude dropped", SIGN, "jnp.where(w < 0, -1.0, 1.0)"),
    _one("usf", "W itself on the way back", SIGN, "w"),
    _one("usf", "a zero weight sends nothing", SIGN, "c * jnp.sign(w)"),
    _one("usf", "mean absolute value for rms", "jnp.sqrt(jnp.mean(w**2))", "jnp.mean(jnp.abs(w))"),
    _one("dfa", "phi' dropped", "through(net[l], trace.currents[l], k[l], t)", "t"),
    _one("dfa", "sign flipped", "[jnp.tensordot(error, b, 1)", "[-jnp.tensordot(error, b, 1)"),
    _one("dfa", "scale dropped", "scale / classes**0.5", "1 / classes**0.5"),
    _one("dfa", "B drawn anew each step", "taught = [", "state = init(key, params, batch)\n            taught = ["),
    _one("dfa", "one gate for all layers", "gates[l]", "gates[0]"),
    _one(
        "dfa", "B decays", "return tuple(grads), state, ", "return tuple(grads), State(tuple(0.9 * b for b in state.feedback)), "
    ),
    _one("np", "1 / sigma^2", "- losses) / sigma", "- losses) / sigma**2"),
    _one("np", "1 / sigma dropped", "- losses) / sigma", "- losses)"),
    _one("np", "sign flipped", "(loss(perturbed, batch.y) - losses)", "(losses - loss(perturbed, batch.y))"),
    _one("np", "no baseline", "(loss(perturbed, batch.y) - losses)", "loss(perturbed, batch.y)"),
    _one("np", "mean loss for each example's", "- losses) / sigma", "- losses).mean(keepdims=True) / sigma + 0 * losses"),
    _one("np", "the layers share xi", "layer_key(own, l)", "own"),
    _one("np", "other noise in the perturbed pass", "params, batch.x, key).output", "params, batch.x, own).output"),
    _one("pc", "sign flipped", "signal[l] / precision", "-signal[l] / precision"),
    _one("pc", "phi' dropped", "through(layer, a, k[l], -eps[l])", "-eps[l]"),
    _one("pc", "1 / pi dropped", "signal[l] / precision", "signal[l]"),
    _one("pc", "precision dropped", "precision * -error_of", "-error_of"),
    _one("pc", "one step of inference", "trace.inputs[1:], steps)", "trace.inputs[1:], 1)"),
    _one(
        "pc",
        "learns at the forward activities",
        "inputs[l], k[l], signal[l] / precision",
        "trace.inputs[l], k[l], signal[l] / precision",
    ),
    _one("pc", "climbs the upper errors", "(eps[l] + down[l])", "(eps[l] - down[l])"),
    _one("ep", "one pullback of the difference", "pre = (x, *h)", "pre = (x, *free)"),
    _one("ep", "1 / beta dropped", "-post / (share * b)", "-post * jnp.sign(b) / n"),
    _one("ep", "sign of the nudge", "return -b *", "return b *"),
    _one("ep", "one nudged sweep", "start, nudge, nudged_steps,", "start, nudge, 1,"),
    _one("ep", "readout counted twice", "pre[-1], y, key) / share", "pre[-1], y, key)"),
    _one("ep", "no way back between layers", "a = a + (back if", "a = a + (0 * back if"),
    _one(
        "ep",
        "predict by a forward pass",
        "read(params, (x, *free_phase(params, x, key)[1][0])[-1], key)[1]",
        "forward(net, params, x, key).output",
    ),
    _one("ep", "fresh noise is the same in all phases", "jax.random.fold_in(key, len(net) + i) if fresh else key", "key"),
    _one("ep", "fresh noise stays over the sweeps", "if fresh else fixed", "if False else fixed"),
    _one("ep", "the input's gate ignored", "signal, gates[0])", "signal, None)"),
    _one("ep", "residual not reported", "jnp.maximum(residual, jnp.concatenate(nudged).max())", "0 * residual"),
    _one("frozen", "hidden layers learn", "jnp.zeros_like, params[:-1]", "jnp.ones_like, params[:-1]"),
    _one("frozen", "sign flipped", "trace.currents[-1], k, error)", "trace.currents[-1], k, -error)"),
    _one("frozen", "gate ignored", "k, signal, gates[-1])", "k, signal, None)"),
    *(Mutant(*m) for path in sorted(Path(__file__).parent.glob("mutations/*.py")) for m in runpy.run_path(str(path))["MUTANTS"]),
)


def factory_of(mutant: Mutant) -> RuleFactory:
    """The mutant's factory. Raises ValueError where the text to replace does not stand in the source exactly once."""
    original = (RULES | BASELINES)[mutant.key]
    path = ROOT / "rules" / f"{original.__module__.rpartition('.')[2]}.py"
    own = tuple(edit for edit in mutant.edits if edit[0] in path.read_text(encoding="utf-8"))
    if elsewhere := tuple(edit for edit in mutant.edits if edit not in own):
        core = next((c for c in CORES if elsewhere[0][0] in (ROOT / f"{c}.py").read_text(encoding="utf-8")), CORES[0])
        with patch.dict(sys.modules, {f"bioplaus.{core.replace('/', '.')}": _module(ROOT / f"{core}.py", elsewhere)}):
            return getattr(_module(path, own), original.__name__)
    return getattr(_module(path, own), original.__name__)


def _module(path: Path, edits: tuple[tuple[str, str], ...] = ()) -> ModuleType:
    source = path.read_text(encoding="utf-8")
    for old, new in edits:
        if source.count(old) != 1:
            raise ValueError(f"mutants: {old!r} stands {source.count(old)} times in {path.name}, expected 1; adapt the mutant")
        source = source.replace(old, new)
    module = ModuleType(f"mutant_{path.stem}")
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


def killer(mutant: Mutant) -> str | None:
    """What kills a mutant, or None. A mutant that does not run raises: it would prove nothing."""
    factory = factory_of(mutant)
    if failed := first_failure(mutant.key, factory):
        return f"{failed.name}: {failed.value:.3g}, limit {failed.limit:g}"
    with jax.enable_x64():
        case = perceptron(factory)
        for item in CONTRACT.values():
            try:
                item(case)
            except AssertionError as error:
                return str(error)
    return None


def run(keys: list[str]) -> Iterator[tuple[Mutant, str | None]]:
    """The mutants of these rules, or of all, with what killed them."""
    for mutant in MUTANTS:
        if not keys or mutant.key in keys:
            yield mutant, killer(mutant)


def main(keys: list[str]) -> int:
    """Print one line a mutant, then killed / total. Returns 1 if one survives."""
    killed = total = 0
    for mutant, cause in run(keys):
        total, killed = total + 1, killed + (cause is not None)
        print(f"{'killed' if cause else 'SURVIVED':9}{mutant.key:24}{mutant.name:40}{cause or ''}", flush=True)
    print(f"{killed}/{total} killed")
    return int(killed < total)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Makes the parts of docs/ that are not written by hand.

    python docs/make.py                      # docs/settings.md and the table of docs/rules.md, from
        what the library declares
    python docs/make.py --figure FOLDER      # docs/compare.svg too, from a folder that `bioplaus
        compare` has written

A test compares both with what the command makes of the sources.
"""

import argparse
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeGuard

import annotated_types as at
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bioplaus import support
from bioplaus.encoders import ENCODERS
from bioplaus.hyper import Hyperparameter, hyperparameters
from bioplaus.identities import FAMILIES
from bioplaus.layers import SYNAPSES
from bioplaus.measure.robustness import CURVES
from bioplaus.measure.robustness.corruptions.suites import CIFAR10_C_LIKE, MNIST_C_LIKE
from bioplaus.modulators import MODULATORS
from bioplaus.neurons import NEURONS, NOISES, SURROGATES, SYNAPTIC_NOISES
from bioplaus.rules import BASELINES, RULES
from bioplaus.structure import STRUCTURES
from bioplaus.study.forms import MAX_COUNT
from bioplaus.study.nets import further_of, has_numbers, level_of
from bioplaus.study.settings import Arm, Study
from bioplaus.study.tables import ContrastSpec, ScheduleSpec

HERE = Path(__file__).parent
FIGURE, WIDTH = "frontier", 880  # of the report; pixels

HEAD = """# Every key of a study file

Made by `python docs/make.py`; a test compares this page with what the command makes.
[studies.md](studies.md) explains how a study file is put together. On the command line each key is
an option of the command `run`, as in `--net.hidden "[64]"`.

Whole numbers are at most 2^31 - 1. A default of - means that nothing is set unless you set it.
"""

RULES_TABLE = (
    "| key | rule | credit travels by | equals backprop, or is parallel to it, when | over time |"
)

RULES_HEAD = """## Hyperparameters of rules

Keys of `hyper`, for the rules that have some. Those of `rule = "pc"` are set as `hyper = {steps =
30}`. A hyperparameter that is "a number" may be scheduled, and shares a compiled program with other
values; whole numbers and truth values are compiled in. The letters of costs are defined in
[rules.md](rules.md#what-an-update-costs).
"""


def settings_page() -> str:
    """The text of docs/settings.md."""
    parts = [HEAD, *section("The file", Study), *section("`[base]`: settings of an arm", Arm)]
    for name, table_ in tables_in(Arm, "base"):
        parts += section(f"`[{name}]`", table_)
    parts += section("`schedules`: each of its entries", ScheduleSpec)
    parts += section("`[[contrast]]`", ContrastSpec)
    parts += [
        "## Noise\n",
        table("noise", {k: level_of(f) for k, f in (NOISES | SYNAPTIC_NOISES).items()}),
    ]
    parts += [
        "What `neuron.level` is for each kind of `neuron.noise`. Further keys of"
        " `neuron.noise_hyper`:\n",
        *(table(k, more) for k, f in (NOISES | SYNAPTIC_NOISES).items() if (more := further_of(f))),
        *disturbances(),
        RULES_HEAD,
    ]
    parts += factories({**RULES, **BASELINES}, "hyper")
    parts += [
        "## Hyperparameters of modulators\n\nKeys of `modulator.hyper`.\n",
        *factories(MODULATORS, "hyper"),
    ]
    moving = {key: f for key, f in NEURONS.items() if has_numbers(key)}
    for what, known in (
        ("neuron", moving),
        ("neuron.surrogate", SURROGATES),
        ("encoder", ENCODERS),
        ("synapses", SYNAPSES),
        ("structure", STRUCTURES),
    ):
        parts += [
            f"## Numbers of each `{what}.kind`\n\nFurther keys of `{what}`, beside `kind`.\n",
            *factories(known, what),
        ]
    return "\n".join(parts).rstrip() + "\n"


def rules_page(page: str) -> str:
    """The text of docs/rules.md: `page` with its table of rules made anew, from what identities
    declare.
    """
    before, _, rest = page.partition(RULES_TABLE)
    rows = [
        row(
            (
                key,
                f.__name__.replace("_", " "),
                FAMILIES[key].credit,
                FAMILIES[key].equals,
                support.words(support.over_time_of(f)),
            )
        )
        for key, f in RULES.items()
    ]
    return (
        "\n".join([before + RULES_TABLE, "|---|---|---|---|---|", *rows])
        + "\n\n"
        + rest.partition("\n\n")[2]
    )


def section(title: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"## {title}\n\n{paragraphs(model.__doc__)}\n"
    yield "| key | what it takes | default | what it does |\n|---|---|---|---|"
    for name, field in model.model_fields.items():
        cells = (
            f"`{name}`",
            expected(field.annotation, field.metadata),
            default(field),
            field.description or "",
        )
        yield row(cells)
    yield ""


def disturbances() -> Iterator[str]:
    """What `curves` and `corruptions` may ask for."""
    yield "## Curves\n\nKeys of `curves`, with the severities at which accuracy is measured.\n"
    yield "| curve | severity | severities |\n|---|---|---|"
    for name, curve in CURVES.items():
        yield row((f"`{name}`", curve.unit, ", ".join(f"{s:g}" for s in curve.severities)))
    yield '\n## Corruptions\n\nWhat `corruptions = "generated"` makes, each at five severities.\n'
    for suite in (MNIST_C_LIKE, CIFAR10_C_LIKE):
        yield (
            f"- {suite.name}, for images of {suite.side} x {suite.side}:"
            f" {', '.join(suite.corruptions)}."
        )
    yield ""


def tables_in(model: type[BaseModel], head: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """(dotted key, model) of each table in a model, and of the tables in it."""
    for name, field in model.model_fields.items():
        if is_table(field.annotation):
            yield f"{head}.{name}", field.annotation
            yield from tables_in(field.annotation, f"{head}.{name}")


def factories(known: dict[str, Callable[..., Any]], head: str) -> Iterator[str]:
    """A section for each factory that has hyperparameters, with its own description.

    head: the table of a study file that holds them.
    """
    for key, factory in known.items():
        numbers = hyperparameters(factory)
        if numbers:
            yield f"### {key}\n\n{paragraphs(factory.__doc__)}\n\n{table(head, numbers)}"


def table(head: str, numbers: dict[str, Hyperparameter]) -> str:
    rows = [
        row((f"`{n}`", words(h), "required" if h.required else toml(h.default)))
        for n, h in numbers.items()
    ]
    return "\n".join([f"| {head} | what it takes | default |\n|---|---|---|", *rows, ""])


def is_table(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return inspect.isclass(annotation) and issubclass(annotation, BaseModel)


def expected(annotation: Any, metadata: Any = ()) -> str:
    """A type and its domain in words."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        bounds = [b for m in inner[1:] for b in (m.metadata if isinstance(m, FieldInfo) else [m])]
        return expected(inner[0], bounds)
    if origin is typing.Literal:
        return "one of " + ", ".join(f"`{toml(v)}`" for v in inner)
    if origin in (typing.Union, types.UnionType):
        without = (type(None), int) if float in inner else (type(None),)
        return " or ".join(expected(a, metadata) for a in inner if a not in without)
    if origin in (list, tuple):
        return f"a list; each entry: {expected(inner[0])}"
    if origin is dict:
        return f"a table; each entry: {expected(inner[1])}"
    if is_table(annotation):
        return "a table, below"
    if annotation in (int, float, bool):
        bounds = tuple(
            m for m in metadata if isinstance(m, at.BaseMetadata) and m != at.Le(MAX_COUNT)
        )
        return words(Hyperparameter("", annotation, bounds, False, None))
    return {str: "text", Any: "a setting"}[annotation]


def words(h: Hyperparameter) -> str:
    return h._replace(optional=False).expected()


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "below" if is_table(field.annotation) else toml(field.default)


def toml(value: Any) -> str:
    """A value as a study file says it; - for None."""
    if value is None:
        return "-"
    if isinstance(value, bool | int | str):
        return json.dumps(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return "{}" if value == {} else f"{float(value):g}"


def paragraphs(text: str | None) -> str:
    """A docstring as Markdown: lines joined to paragraphs, and signs of markup shown as they
    are.
    """
    found = [" ".join(p.split()) for p in inspect.cleandoc(text or "").split("\n\n")]
    return "\n\n".join(re.sub(r"([*<\\])", r"\\\1", p) for p in found)


def row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(" ".join(c.split()).replace("|", r"\|") for c in cells) + " |"


def figure(folder: Path) -> str:
    """One figure of a run's report as a file of its own: on white, so that it reads the same on a
    dark page.
    """
    from bioplaus.report.figures import figures
    from bioplaus.report.read import read_run

    svg = figures(read_run(folder))[FIGURE].replace("var(--sans)", "'DejaVu Sans', sans-serif")
    return svg.replace("<svg ", f'<svg width="{WIDTH}" ', 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--figure", type=Path, help="a results folder of `bioplaus compare`")
    folder = parser.parse_args().figure
    (HERE / "settings.md").write_text(settings_page(), encoding="utf-8")
    rules = HERE / "rules.md"
    rules.write_text(rules_page(rules.read_text(encoding="utf-8")), encoding="utf-8")
    if folder:
        (HERE / "compare.svg").write_text(figure(folder), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The file that `bioplaus tune` writes: [budget], [rules] as a study file takes them, and [scores],
how each was found.

One file has one budget. A rule without scores was tuned by the method before: the best of as many
trials was taken as it came.
"""

import tomllib
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bioplaus.study.results import replacing
from bioplaus.study.settings import Study, StudyError
from bioplaus.study.spec import arms

HEAD = (
    "# Written by `bioplaus tune`: the same trials for every rule, on the validation split. Not"
    " edited by hand.\n\n"
)


class Budget(BaseModel):
    """trials, of `steps` steps on `seeds` seeds each; then the best `finalists` of them on
    `final_seeds` new seeds.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")
    data: str
    trials: int
    seeds: int
    steps: int
    finalists: int = 0
    final_seeds: int = 0


class Scores(BaseModel):
    """How the settings of a rule were found; validation accuracies, as fractions.

    searched: the settings that the trials drew. trials: the mean over seeds of each, in their
    order. finalists: which of them were run on the new seeds, `seeds`, the best first. final: their
    accuracies, a row a finalist; mean, spread: of the chosen one, which has the best mean, and the
    standard deviation over its seeds. like: the rule whose settings are taken, for one that is the
    same algorithm; the rest is empty then.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")
    like: str = ""
    searched: tuple[str, ...] = ()
    trials: tuple[float, ...] = ()
    finalists: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    final: tuple[tuple[float, ...], ...] = ()
    mean: float = 0.0
    spread: float = 0.0
    versions: dict[str, str] = Field(default={})


class Tuned(BaseModel):
    """rules: rule -> its settings; scores: the same for rules that were tuned by this method."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")
    budget: Budget
    rules: dict[str, dict[str, Any]] = Field(default={})
    scores: dict[str, Scores] = Field(default={})


def read(path: Path) -> Tuned:
    """Raises StudyError if the file cannot be read, or is not what `write` writes."""
    odd = f"{path}: is not a file that `bioplaus tune` wrote"
    try:
        found = Tuned.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        arms(Study(name="tuned", rules=found.rules))
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error}); give another --out") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StudyError(
            f"{odd}: it is not TOML ({error}); give another --out, or delete it"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise StudyError(
            f"{odd}: {'.'.join(map(str, first['loc']))}: {first['msg']}; give another --out, or"
            " delete it"
        ) from None
    except StudyError as error:
        raise StudyError(f"{odd}: {error}; give another --out, or delete it") from None
    return found


def write(path: Path, found: Tuned) -> None:
    """Write the file, whole or not at all. Raises StudyError if it cannot be."""
    import tomli_w

    try:
        with replacing(path) as part:
            part.write_text(
                HEAD + tomli_w.dumps(found.model_dump(exclude_defaults=True)), encoding="utf-8"
            )
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error}); give another --out") from error


def opened(path: Path, budget: Budget) -> Tuned:
    """What a tuning at this budget goes on from: the file's content, or nothing if there is no such
    file.

    It is written back at once, so that a path that cannot be written is found before any work.
    Raises StudyError for it, for a file of another kind, and for one of another budget.
    """
    if not path.exists():
        found = Tuned(budget=budget)
    else:
        found = read(path)
        earlier = budget.model_copy(update={"finalists": 0, "final_seeds": 0})
        if found.budget != budget and (found.scores or found.budget != earlier):
            raise StudyError(
                f"{path}: was tuned with {_said(found.budget)}, and now {_said(budget)} is asked"
                " for; one file has one budget: give another --out, or delete it"
            )
    found = found.model_copy(update={"budget": budget})
    write(path, found)
    return found


def _said(budget: Budget) -> str:
    return ", ".join(f"{name} = {value}" for name, value in budget.model_dump().items())

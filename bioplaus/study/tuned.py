"""The file that `bioplaus tune` writes.

    [budget]    the number of trials, seeds and steps; the same for all rules in the file
    [rules]     tuned settings, in the form of [rules] in a study file
    [scores]    the validation accuracies by which they were chosen

A rule without scores was tuned by an earlier method, which took the best of the same number of
trials without running the best ones again on new seeds.
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
    """The budget of each rule.

    It has `trials` trials, each of `steps` steps on `seeds` seeds; the best `finalists` of them are
    then run on `final_seeds` new seeds.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")
    data: str
    net: str = "mlp"
    trials: int
    seeds: int
    steps: int
    finalists: int = 0
    final_seeds: int = 0


class Scores(BaseModel):
    """The validation accuracies, as fractions, by which the settings of a rule were chosen.

    searched: names of the settings that the trials drew. trials: the mean accuracy of each trial
    over its seeds. finalists: numbers of the trials that were run on the new seeds, the best first.
    seeds: the new seeds. final: for each finalist, its accuracy on each new seed. mean, spread: the
    mean of the chosen finalist, which is the best, and the standard deviation over its seeds.
    versions: of the packages. like: for a rule that computes the same updates as another one, that
    rule, whose settings it takes; all other fields are then empty.
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
    """The file's content. rules: rule -> settings. scores: rule -> scores, see above."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")
    budget: Budget
    rules: dict[str, dict[str, Any]] = Field(default={})
    scores: dict[str, Scores] = Field(default={})


def read(path: Path) -> Tuned:
    """Read the file. Raises StudyError if it cannot be read, or `write` did not write it."""
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
    """Write the file atomically. Raises StudyError if it cannot be written."""
    import tomli_w

    try:
        with replacing(path) as part:
            part.write_text(
                HEAD + tomli_w.dumps(found.model_dump(exclude_defaults=True)), encoding="utf-8"
            )
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error}); give another --out") from error


def opened(path: Path, budget: Budget) -> Tuned:
    """The content of the file, from which tuning at this budget continues; empty if it is new.

    It is written back at once, so that an error in writing shows before any work. Raises
    StudyError for such an error, for a file that is not one of `bioplaus tune`, and for another
    budget.
    """
    if not path.exists():
        found = Tuned(budget=budget)
    else:
        found = read(path)
        earlier = budget.model_copy(update={"finalists": 0, "final_seeds": 0})
        if found.budget != budget and (found.scores or found.budget != earlier):
            raise StudyError(
                f"{path}: was tuned with {_listed(found.budget)}, and this run has"
                f" {_listed(budget)}; one file has one budget: give another --out, or delete it"
            )
    found = found.model_copy(update={"budget": budget})
    write(path, found)
    return found


def _listed(budget: Budget) -> str:
    return ", ".join(f"{name} = {value}" for name, value in budget.model_dump().items())

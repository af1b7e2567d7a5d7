"""What the tables of settings of a study file have in common."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MAX_COUNT = 2**31 - 1
"""The largest whole number: compiled programs hold counts as int32."""

MAX_FLOAT32 = 3.4e38
"""The largest number that a program can hold as float32."""


class Strict(BaseModel):
    """A frozen model without unknown keys.

    The string below a field is its description; `docs/settings.md` is generated from these.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class Settings(Strict):
    """A table whose numbers a compiled program can hold."""

    @field_validator("*")
    @classmethod
    def _held(cls, value: Any) -> Any:
        """Raise ValueError for numbers that are too large, hyperparameters included."""
        for number in value.values() if isinstance(value, dict) else (value,):
            check_held(number)
        return value


def check_held(number: Any) -> None:
    """Raise ValueError for a number that is too large for a compiled program."""
    if isinstance(number, int) and abs(number) > MAX_COUNT:
        raise ValueError(
            f"whole numbers should be {MAX_COUNT:,} at most; larger ones need a decimal point"
        )
    if isinstance(number, float) and abs(number) > MAX_FLOAT32:
        raise ValueError(f"numbers should be {MAX_FLOAT32:g} at most, the largest of float32")


Count = Annotated[int, Field(gt=0, le=MAX_COUNT)]


def unset(value: Any) -> bool:
    """Leave a setting out of an arm's dump while it has its default.

    The name of an arm's folder is a hash of the dump: settings that were added later must not
    change the hash of older arms.
    """
    return not value if not isinstance(value, Settings) else value == type(value)()


class OfKind(Settings):
    """A table whose field `kind` names a factory, and whose further keys are numbers of that
    factory. `bioplaus.study.build.check_numbers` checks them.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _in_one_order(cls, settings: Any) -> Any:
        return dict(sorted(settings.items())) if isinstance(settings, dict) else settings

    @model_validator(mode="after")
    def _numbers_held(self) -> Self:
        for number in self.numbers.values():
            check_held(number)
        return self

    @property
    def numbers(self) -> dict[str, Any]:
        """Name -> value of each further key."""
        return dict(self.model_extra or {})

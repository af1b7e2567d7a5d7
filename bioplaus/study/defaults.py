"""The settings of each rule that `bioplaus tune` found: the file bioplaus/defaults.toml."""

import tomllib
from pathlib import Path
from typing import Any

DEFAULTS = Path(__file__).parents[1] / "defaults.toml"


def defaults() -> dict[str, dict[str, Any]]:
    """Rule -> its tuned settings, in the form of [rules] in a study; only rules that were tuned."""
    return tomllib.loads(DEFAULTS.read_text(encoding="utf-8"))["rules"]

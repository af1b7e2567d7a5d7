"""Each rule's own settings, as `bioplaus tune` found them: bioplaus/defaults.toml."""

import tomllib
from pathlib import Path
from typing import Any

DEFAULTS = Path(__file__).parents[1] / "defaults.toml"


def defaults() -> dict[str, dict[str, Any]]:
    """rule -> its tuned settings, as a study's [rules] takes them. A rule that was never tuned is
    not there.
    """
    return tomllib.loads(DEFAULTS.read_text(encoding="utf-8"))["rules"]

"""A run that tests compare others with."""

import pytest
from studies import LIGHT, written


@pytest.fixture(scope="session")
def light(tmp_path_factory):
    return written(LIGHT, tmp_path_factory.mktemp("runs") / "light")

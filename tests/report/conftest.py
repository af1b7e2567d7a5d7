"""The rows of a real run; tests that need other rows change single values or leave rows out."""

import shutil

import pytest

from bioplaus.record import RESULTS, RESULTS_SUMS


@pytest.fixture(scope="session")
def rows(small):
    return small.rows


@pytest.fixture(scope="session")
def summary(small):
    return small.summary


@pytest.fixture(scope="session")
def full(small, tmp_path_factory):
    """A folder with everything in it that a report is made of."""
    folder = tmp_path_factory.mktemp("report") / "full"
    folder.mkdir()
    for name in (*RESULTS, RESULTS_SUMS):
        shutil.copy(small.folder / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def page(small):
    """As the run itself wrote it."""
    return (small.folder / "report.html").read_text(encoding="utf-8")

"""A run says how far it has come, in a log as well."""

import pytest

from bioplaus.study import progress


@pytest.mark.parametrize("show", [True, False])
def test_a_log_gets_a_line_at_intervals(show, monkeypatch, capsys):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):  # by which rich takes anything for a terminal
        monkeypatch.delenv(name, raising=False)
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(progress, "LOG_SECONDS", 40)
    with progress.progress_bar(100, show) as (say, tick):
        say("fa")
        for _ in range(10):
            tick(10)
    out, err = capsys.readouterr()
    assert out == ""
    lines = [
        "fa: 30 of 100 steps, 1 steps/s, about 2 min left",
        "fa: 70 of 100 steps, 1 steps/s, about 1 min left",
    ]
    assert err.splitlines() == (lines if show else [])


def test_compile_time_does_not_enter_the_rate(monkeypatch, capsys):
    """The time spent compiling does not enter the rate of steps that the progress line shows.

    The clock starts at the end of the first steps, after a minute of compiling.
    """
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    clock = iter([0, 0, 60, 121])
    monkeypatch.setattr(progress, "perf_counter", lambda: next(clock))
    with progress.progress_bar(20_000, True) as (say, tick):
        say("fa")
        tick(10)
        tick(6100)
    lines = [
        "fa: 10 of 20,000 steps, compiling",
        "fa: 6,110 of 20,000 steps, 100 steps/s, about 3 min left",
    ]
    assert capsys.readouterr().err.splitlines() == lines

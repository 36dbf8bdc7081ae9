"""Progress at a terminal: late, with a rate and the time left; without one, nothing."""

import io
import sys

import pytest

from tierlab.simulator.cli import progress as module
from tierlab.simulator.cli.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Return a function that makes stderr a terminal; pytest sets it anew before a test runs."""

    def make() -> Terminal:
        made = Terminal()
        monkeypatch.setattr(sys, "stderr", made)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "120")
        return made

    return make


def test_a_long_run_shows_counts_a_rate_and_the_time_left(terminal, monkeypatch) -> None:
    monkeypatch.setattr(module, "LATE_S", 0.0)
    screen = terminal()
    with progress("measuring", "points") as report:
        for done in range(1, 4):
            report(done, 30)
    shown = screen.getvalue()
    assert "measuring" in shown
    assert "1/30 points" in shown
    assert "points/s" in shown
    assert "-:--:--" in shown or "0:0" in shown


def test_a_short_run_shows_nothing(terminal) -> None:
    screen = terminal()
    with progress("measuring", "points") as report:
        report(1, 2)
    assert screen.getvalue() == ""


def test_nobody_watches(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress("measuring", "points") as report:
        assert report is None

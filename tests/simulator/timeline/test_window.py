"""A window shows what reaches into it, whole, and nothing else."""

import math

import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.timeline.window import Window


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("10s:20s", Window(10, 20)),
        (":2min", Window(0, 120)),
        ("1.5h:", Window(5400, math.inf)),
        (" 5 ms : 1e3 us ".replace("1e3 us", "6e3 us"), Window(0.005, 0.006)),
    ],
)
def test_windows_are_read(text, window):
    assert Window.parse(text) == window


@pytest.mark.parametrize(
    "text",
    ["10", "10:20", ":", "", "20s:10s", "5s:5s", "a:b", "-1s:2s", "1s:2s:3s", "1parsec:", "nan s:"],
)
def test_other_texts_are_refused(text):
    with pytest.raises(BadInput, match="--timeline-window"):
        Window.parse(text)


def test_what_reaches_in_is_shown_and_no_more(trace, watched):
    crowd = trace([0.0, 0.0, 1.5, 2.0], [40, 56, 64, 30], [60, 80, 20, 5])
    whole = watched(crowd, name="a.json")
    part = watched(crowd, name="b.json", window="20s:40.5s")
    expected = [e for e in whole.of("X") if e["ts"] <= 40.5e6 and e["ts"] + e["dur"] >= 20e6]
    assert part.of("X") == expected
    assert 0 < len(expected) < len(whole.of("X"))
    assert all(20e6 <= e["ts"] <= 40.5e6 for e in part.of("C"))
    assert len(part.of("b")) == len(part.of("e"))


@pytest.mark.parametrize("moment", [20.25, 33.0, 90.5])
def test_counters_start_with_what_held_before(trace, watched, moment):
    crowd = trace([0.0, 0.0, 1.5, 2.0], [40, 56, 64, 30], [60, 80, 20, 5])
    series = watched(crowd, name="a.json").counter("KV held on one GPU", "bytes")
    value = [value for at, value in series if at <= moment * 1e6][-1]
    part = watched(crowd, name="b.json", window=f"{moment}s:{moment + 0.5}s")
    assert part.counter("KV held on one GPU", "bytes")[0] == (moment * 1e6, value)


def test_a_window_past_the_end_is_refused(trace, watched, tmp_path):
    with pytest.raises(BadInput, match="the run ends at"):
        watched(trace([0.0], [10], [2]), window="1h:2h")
    assert not list(tmp_path.iterdir())

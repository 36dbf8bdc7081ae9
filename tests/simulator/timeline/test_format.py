"""Every file keeps the Trace Event Format, and what it draws can be drawn.

The format: "Trace Event Format" (Chromium, docs.google.com/document/d/
1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU).
"""

import itertools
from numbers import Real

import pytest

SPANS = {"X": {"dur"}, "b": {"id2", "cat"}, "e": {"id2", "cat"}, "C": {"args"}, "i": {"s"}}
TIERS = {"dram": {"capacity": 400 * 16 * 23040.0}}


@pytest.fixture(params=["plain", "preempting", "asynchronous", "replicas", "tiers", "layers"])
def scene(request, trace, watched):
    """Return a run of each kind."""
    ids = [list(range(10)), list(range(20, 30)), list(range(10))]
    again = trace([0.0, 3.0, 8.0], [160, 160, 160], [4, 4, 4], ids=ids, block_tokens=16)
    crowd = trace([0.0, 0.0, 1.5, 2.0], [40, 56, 64, 30], [60, 80, 20, 5])
    return {
        "plain": lambda: watched(crowd, num_gpu_blocks=100),
        "preempting": lambda: watched(crowd),
        "asynchronous": lambda: watched(crowd, async_scheduling=True),
        "replicas": lambda: watched(crowd, replicas=2),
        "tiers": lambda: watched(again, tiers=TIERS),
        "layers": lambda: watched(again, tiers={**TIERS, "load": "layerwise"}, fidelity="layer"),
    }[request.param]()


def test_every_event_has_what_its_phase_needs(scene):
    for event in scene.events:
        assert isinstance(event["pid"], int)
        assert event["pid"] > 0
        assert isinstance(event["tid"], int)
        assert isinstance(event["name"], str)
        assert event["name"]
        if event["ph"] == "M":
            assert set(event["args"]) <= {"name", "sort_index"}
            continue
        assert SPANS[event["ph"]] <= set(event)
        assert isinstance(event["ts"], Real)
        assert event["ts"] >= 0
        assert event.get("dur", 0) >= 0


def test_slices_of_one_track_follow_each_other(scene):
    tracks: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for event in scene.of("X"):
        ends = round((event["ts"] + event["dur"]) * 1000)
        tracks.setdefault((event["pid"], event["tid"]), []).append(
            (round(event["ts"] * 1000), ends)
        )
    assert tracks
    for spans in tracks.values():
        for (_, end), (start, _) in itertools.pairwise(sorted(spans)):
            assert end <= start


def test_spans_of_a_request_nest(scene):
    stacks: dict[int, list[str]] = {}
    since: dict[int, float] = {}
    for event in scene.of("b") + scene.of("e"):
        assert event["cat"] == "request"
    for event in scene.events:
        if event["ph"] not in "be":
            continue
        row = int(event["id2"]["local"], 16)
        stack = stacks.setdefault(row, [])
        assert event["ts"] >= since.get(row, 0)
        since[row] = event["ts"]
        if event["ph"] == "b":
            stack.append(event["name"])
        else:
            assert stack.pop() == event["name"]
    assert set(stacks) == set(range(scene.run.requests.n))
    assert not any(stacks.values())


def test_counters_run_forward_and_are_never_negative(scene):
    last: dict[tuple[int, str], float] = {}
    for event in scene.of("C"):
        key = (event["pid"], event["name"])
        assert event["ts"] >= last.get(key, 0.0)
        last[key] = event["ts"]
        assert event["args"]
        assert all(value >= 0 for value in event["args"].values())


def test_every_process_and_thread_has_a_name(scene):
    processes = {event["pid"] for event in scene.of("M", name="process_name")}
    threads = {(e["pid"], e["tid"]) for e in scene.of("M", name="thread_name")}
    assert {event["pid"] for event in scene.events} == processes
    assert {(e["pid"], e["tid"]) for e in scene.of("X")} == threads


def test_watching_changes_nothing(trace, watched):
    crowd = trace([0.0, 0.0, 1.5, 2.0], [40, 56, 64, 30], [60, 80, 20, 5])
    seen, unseen = watched(crowd).run, watched(crowd, watch=False).run
    assert seen.requests.last_token_s.tolist() == unseen.requests.last_token_s.tolist()
    ours, theirs = seen.record.columns(), unseen.record.columns()
    assert {k: v.tolist() for k, v in ours.items()} == {k: v.tolist() for k, v in theirs.items()}

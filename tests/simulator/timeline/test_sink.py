"""The file grows as events come, and appears only when it is whole."""

import json
import tracemalloc

import pytest

from tierlab.simulator.timeline.events import Counter, number
from tierlab.simulator.timeline.sink import Sink, us

EVENT = '{"ph":"X","name":"decode","ts":1.000,"dur":2.000,"pid":1,"tid":1}'


@pytest.mark.parametrize("name", ["t.json", "t.json.gz"])
def test_memory_does_not_grow_with_events(tmp_path, name):
    """The text of these events takes 33 MB."""
    sink = Sink(tmp_path / name)
    tracemalloc.start()
    wide = ",".join(f'"{letter}":1' for letter in "abcdefghijklmnopqrstuvwxyz" * 2)
    sink.write(f'{{"ts":{i * 7919 % 99991}.{i % 997},{wide}}}' for i in range(100_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20
    assert sink.events == 100_000
    assert sink.scratch.stat().st_size > 2**18
    sink.discard()
    assert not list(tmp_path.iterdir())


def test_nothing_stands_in_its_place_before_the_end(tmp_path):
    sink = Sink(tmp_path / "t.json")
    sink.write([EVENT, EVENT])
    sink.finish()
    assert not sink.path.exists()
    sink.publish()
    sink.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]
    assert len(json.loads(sink.path.read_text())["traceEvents"]) == 2


def test_no_events_are_a_file_too(tmp_path):
    sink = Sink(tmp_path / "t.json")
    sink.finish()
    sink.publish()
    assert json.loads(sink.path.read_text())["traceEvents"] == []


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [(0, "0.000"), (7, "0.007"), (1234567, "1234.567"), (10**15, f"{10**12}.000")],
)
def test_times_keep_their_nanoseconds(time_ns, text):
    assert us(time_ns) == text


@pytest.mark.parametrize(("value", "text"), [(3.0, "3"), (0.1, "0.1"), (2**53, str(2**53))])
def test_numbers_read_back_the_same(value, text):
    assert number(value) == text
    assert json.loads(number(value)) == value


def test_a_counter_is_written_where_it_changes():
    counter = Counter(1, "c", (0, 100))
    values = [(0, 1), (10, 1), (20, 2), (30, 2), (200, 3)]
    made = [json.loads(e) for at, value in values for e in counter.set(at, {"v": value})]
    assert [(e["ts"], e["args"]["v"]) for e in made] == [(0.0, 1), (0.02, 2)]

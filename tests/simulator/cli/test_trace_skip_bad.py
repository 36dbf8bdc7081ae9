"""``--skip-bad`` of the commands that read a log: counts, a list, and nothing else changes."""

import json

import pytest

from tierlab.simulator.cli.main import run_cli

COMMANDS = {
    "stats": (),
    "mrc": ("--policy", "lru", "--capacity-blocks", "2,8"),
    "convert": ("-o", "out.parquet"),
}


def row(i: int, **changed: object) -> str:
    ids = [0, 1, i + 2]
    valid = {"timestamp": 3000 * i, "input_length": 1100, "output_length": 5, "hash_ids": ids}
    return json.dumps(valid | changed) + "\n"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command on a text; return status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(command: str, text: str, *options: str) -> tuple[int, str, str]:
        (tmp_path / "log.jsonl").write_text(text)
        status = run_cli(["trace", command, "log.jsonl", *COMMANDS[command], *options])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


@pytest.mark.parametrize("command", COMMANDS)
def test_the_answer_is_that_of_the_log_without_its_bad_lines(run, command):
    good = "".join(map(row, range(6)))
    bad = row(2, input_length=0) + "{\n" + "".join(row(2, hash_ids=[-1]) for _ in range(30))
    status, _, error = run(command, good + bad, "--json")
    assert status == 2
    assert "log.jsonl:7: input_length = 0; accepted: an integer of 1 or more" in error
    status, clean, error = run(command, good, "--json")
    assert (status, error) == (0, "")
    status, out, error = run(command, good + bad, "--json", "--skip-bad")
    assert status == 0
    told = json.loads(out)
    records = told.pop("records")
    expected = json.loads(clean)
    assert strip(told) == strip(expected)
    assert (records["read"], records["skipped"], records["excluded"]) == (6, 32, {})
    assert [one["place"] for one in records["bad"]] == [f"log.jsonl:{n}" for n in range(7, 39)]
    lines = error.splitlines()
    assert lines[0] == "log.jsonl: skipped 32 of 38 records as malformed:"
    assert lines[-1] == "  ... and 22 more"
    assert len(lines) == 12


def strip(told: dict) -> dict:
    return {key: value for key, value in told.items() if not key.endswith(("sha256", "_bytes"))}


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_bad_nothing_said(run, command):
    status, out, error = run(command, "".join(map(row, range(6))), "--json", "--skip-bad")
    assert (status, error) == (0, "")
    assert json.loads(out)["records"] == {"read": 6, "skipped": 0, "excluded": {}, "bad": []}


def test_failed_requests_are_told_without_asking(run):
    text = "Timestamp,Request tokens,Response tokens\n5,10,3\n6,10,0\n7,10,4\n"
    status, out, error = run("stats", text, "--json")
    assert status == 0
    assert json.loads(out)["requests"] == 2
    assert error == "log.jsonl: excluded 1 of 3 records: 0 response tokens: the request failed\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_only_bad_lines_is_an_error_of_one_line(run, command):
    status, out, error = run(command, row(0, input_length=0), "--skip-bad")
    assert (status, out) == (2, "")
    assert error.count("\n") == 1
    assert "1 malformed, the first: log.jsonl:1: input_length = 0" in error

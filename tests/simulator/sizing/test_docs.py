"""The commands of docs/sizing.md print what stands there."""

import re
import shlex

import pytest

LOG = "traces/mooncake/conversation_trace.jsonl"


def examples(repository):
    """Return (arguments, lines that follow) of each console block."""
    text = (repository / "docs/sizing.md").read_text()
    for block in re.findall(r"```console\n\$ tierlab (.*?)```", text, re.DOTALL):
        command, lines = [], block.splitlines()
        while lines and (not command or command[-1].endswith("\\")):
            command.append(lines.pop(0))
        yield shlex.split(" ".join(line.rstrip("\\") for line in command)), lines


def printed(done):
    return [line.rstrip() for line in done.stdout.strip().splitlines()]


def test_every_example_is_found(repository):
    assert [args[0] for args, _ in examples(repository)] == ["plan"] * 4


def test_the_crossover(tierlab, repository, tmp_path):
    (args, expected) = next(e for e in examples(repository) if "--crossover" in e[0])
    assert printed(tierlab(*args)) == [line.rstrip() for line in expected]
    assert (tmp_path / "crossover.html").stat().st_size > 1_000_000


@pytest.mark.shared(LOG)
def test_the_sizes_without_time(tierlab, repository, shared_dir, tmp_path):
    (tmp_path / "conversation_trace.jsonl").symlink_to(shared_dir / LOG)
    for args, expected in examples(repository):
        if "--hit-ratio" in args:
            found = printed(tierlab(*args, "--no-doubling"))
            assert found == [line.rstrip() for line in expected[: len(found)]]
            assert len(found) > 12

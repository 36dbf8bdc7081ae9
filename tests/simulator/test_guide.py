"""docs/guide.md runs, block after block, in an empty folder; examples of sweeps can run too."""

import re

import pytest

from tierlab.simulator.sweep.points import check_points, points_of
from tierlab.simulator.sweep.read import read_sweep

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_block_of_the_guide_runs(repository, tmp_path, monkeypatch):
    text = (repository / "docs" / "guide.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "guide"}
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == text.count("```") // 2
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        exec(compile("\n" * line + block[1], "docs/guide.md", "exec"), names)


@pytest.mark.parametrize(
    ("name", "size"), [("sweep_tiers", 200), ("sweep_rates", 6), ("sweep_plans", 1920)]
)
def test_an_example_spans_what_it_says(repository, name, size):
    sweep = read_sweep(repository / "examples" / f"{name}.toml")
    assert sweep.size == size
    found = check_points(sweep, list(points_of(sweep)))
    assert [each for each in found if isinstance(each, Exception)] == []

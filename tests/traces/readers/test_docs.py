"""The page on formats names what there is."""

import re

from tierlab.traces.readers import columns, registry


def test_every_format_has_its_row(repository):
    page = (repository / "docs/trace-formats.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \| .* \|$", page.split("## A log of your own")[0], re.M)
    assert sorted(rows) == sorted(registry.READERS)


def test_the_order_of_each_format_is_as_its_reader_says(repository):
    page = (repository / "docs/trace-formats.md").read_text()
    for name in registry.READERS:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        told = row.split("|")[4]
        assert ("arrival" in told) == registry.load(name).ordered, name


def test_every_column_of_the_map_is_told(repository):
    page = (repository / "docs/trace-formats.md").read_text().split("the column map")[1]
    assert all(f"`{name}`" in page for name in columns.ALIASES)

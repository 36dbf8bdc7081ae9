"""Times at once are times one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierlab.traces.readers import dates

ALIKE = ["2023-11-16 18:17:03.9799600", "2023-11-16 18:17:04.0319600"]
ODD = [
    "2023-11-16 18:17:03.979960\x00", "2023-11-16 18:17:03,9799600", "2023-13-16 18:17:03.9799600",
    "2023-11-16T18:17:03", "2024-05-10 00:00:00.009930+00:00", "2024-05-10 00:00:00.009930+05:30",
    "2024-05-10 00:00:00.009930 +0100", "2024-05-10 00:00:01Z", "1600-01-01 00:00:00", "x" * 27,
    "2300-01-01 00:00:00.0000000", "٢023-11-16 18:17:03.9799600", "", "NaT", "2023-11-16", "now",
    "2024-02-29 23:59:59", "2023-02-29 23:59:59", "2023-11-16 24:00:00", "x" * 1000,
]  # fmt: skip


@given(st.lists(st.sampled_from(ALIKE + ODD), min_size=1, max_size=8))
def test_at_once_as_one_by_one(cells):
    at_once = dates.alike_ns(cells)
    if at_once is not None:
        assert at_once.tolist() == [dates.iso_ns(cell) for cell in cells]


@pytest.mark.parametrize(
    ("cells", "first_ns"),
    [
        (ALIKE, 1_700_158_623_979_960_000),
        (["2024-05-10 00:00:00.009930+00:00", "2024-05-10 00:00:01+00:00"], None),
        (["2024-05-10 05:30:00.5+05:30"] * 3, 1_715_299_200_500_000_000),
        (["2024-05-10T00:00:00Z"], 1_715_299_200_000_000_000),
        (["2024-05-10 00:00:00,25 "[:-1]], 1_715_299_200_250_000_000),
    ],
)
def test_published_ways_of_writing_need_no_second_look(cells, first_ns):
    found = dates.alike_ns(cells)
    assert found is not None
    assert found.dtype == np.int64
    assert first_ns is None or found[0] == first_ns


@pytest.mark.parametrize("cells", [[None], [5], [*ALIKE, "x"], [*ALIKE, ALIKE[0] + "\x00"]])
def test_what_is_no_time_is_left_to_the_second_look(cells):
    assert dates.alike_ns(cells) is None

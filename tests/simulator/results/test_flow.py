"""Tiers and links over time agree with the ledgers, however the time is cut."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierlab.simulator.metrics.tiers import link_figures
from tierlab.simulator.results.flow import LINKS, PARTS, TIERS, by_part, links_frame, tiers_frame
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.run import simulate
from tierlab.simulator.tiers.history import MOST, History


@pytest.fixture(scope="module")
def run():
    """Serve sessions that overflow HBM and DRAM, with an SSD below."""
    data = {
        "model": "SmolLM2-135M",
        "hardware": "h200-tiered",
        "design": "vllm",
        "engine": {"max_model_len": 8192, "num_gpu_blocks": 1500},
        "workload": {"generator": "chat", "limit": 150, "parameters": {"sessions": 60}},
        "tiers": {"dram": {"capacity": "100 MB"}, "ssd": {"capacity": "10 GB"}},
    }
    return simulate(validate(data, "test"))


def test_links_sum_to_the_summary(run):
    frame = links_frame(run)
    assert frame.columns == list(LINKS)
    assert (frame["bytes"] > 0).all()
    sums = frame.group_by("link", "direction", "cause").agg(pl.col("bytes").sum())
    expected = {
        (link, way, cause): ways[way]
        for link, figures in link_figures(run).items()
        for cause, ways in figures["by_cause"].items()
        for way in ways
        if ways[way]
    }
    assert expected
    assert {row[:3]: row[3] for row in sums.rows()} == pytest.approx(expected)
    assert frame["end_s"].max() <= run.simulated_s
    assert frame.group_by("link", "direction", "cause").len()["len"].max() <= PARTS


def test_tiers_end_as_their_books_say_and_peak_where_they_peaked(run):
    frame = tiers_frame(run)
    assert frame.columns == list(TIERS)
    (tiering,) = run.tierings
    for tier in tiering.tiers.tiers:
        mine = frame.filter(pl.col("tier") == tier.spec.name)
        assert mine["at_s"].is_sorted()
        assert mine["held_bytes"][-1] == len(tier.store) * tier.spec.block_bytes
        assert mine["hit_tokens"][-1] == tier.counts.hit_tokens
        assert mine["peak_bytes"].max() <= tier.spec.capacity_bytes
        assert (mine["peak_bytes"] >= mine["held_bytes"]).all()
    hbm = frame.filter(pl.col("tier") == "hbm")
    assert hbm["peak_bytes"].max() == run.ledger.peak_bytes["hbm"]
    assert hbm["hit_tokens"][-1] == run.caches[0].blocks_hit * 16


def test_without_tiers_there_is_hbm_alone(trace, served):
    alone = served(trace([0.0, 5.0], [100, 60], [4, 9]), replicas=2)
    frame = tiers_frame(alone)
    assert set(frame["tier"]) == {"hbm"}
    assert set(frame["replica"]) == {0, 1}
    assert links_frame(alone).columns == list(LINKS)
    assert links_frame(alone).is_empty()


@given(
    st.lists(
        st.tuples(st.floats(0, 9), st.floats(1e-6, 5), st.floats(1, 1e12)), min_size=1, max_size=20
    )
)
def test_bytes_by_part_are_the_integral(copies):
    start, lasts, nbytes = (np.array(column) for column in zip(*copies, strict=True))
    end = start + lasts
    edges = np.linspace(0.0, end.max(), 8)
    parts = by_part(start, end, nbytes, edges)
    assert parts.sum() == pytest.approx(nbytes.sum())
    low, high = edges[:-1, None], edges[1:, None]
    shares = np.clip(np.minimum(end, high) - np.maximum(start, low), 0, None) / lasts
    np.testing.assert_allclose(parts, (shares * nbytes).sum(axis=1), rtol=1e-6, atol=1e-3)


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 5)), min_size=1, max_size=6000))
def test_a_history_is_bounded_and_keeps_the_end_and_the_peak(changes):
    history, now, values = History(), 0.0, []
    for gap, held in changes:
        now += gap
        values.append(held)
        history.note(now, held, len(values))
    assert len(history.at_s) <= 2 * MOST
    assert history.at_s == sorted(history.at_s)
    assert (history.held_bytes[-1], history.hit_tokens[-1]) == (values[-1], len(values))
    assert max(history.peak_bytes) == max(values)


def test_a_long_history_gets_coarser():
    history = History()
    for i in range(10_000):
        history.note(i * 0.01, float(i), i)
    assert MOST // 2 <= len(history.at_s) <= 2 * MOST
    assert history.slot_s > 0.01
    assert history.held_bytes[-1] == 9_999

"""The page holds what was read, asks nothing of the network, and runs no text that came in."""

import html
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from tierlab.simulator.report import series
from tierlab.simulator.report.page import page
from tierlab.simulator.report.read import read_folders

FETCHING = ("src", "href", "srcset", "data", "action", "poster")


class Outline(HTMLParser):
    """Collects what a browser would fetch, the sections, the text, and the scripts."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.sections, self.text, self.scripts, self.open = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.fetched += [value for name, value in attrs if name in FETCHING]
        self.open += [tag] if tag not in ("meta", "path", "br", "input") else []
        if tag == "section":
            self.sections.append(named["id"])
        if tag == "script":
            self.scripts.append([named.get("type"), ""])

    def handle_endtag(self, tag):
        if tag not in ("meta", "path", "br", "input"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1][1] += data
        elif self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def shown(self):
        return " ".join(self.text)

    def data(self):
        return [json.loads(text) for kind, text in self.scripts if kind == "application/json"]


@pytest.fixture(scope="module")
def of_runs(runs):
    return page(*read_folders(runs))


@pytest.fixture(scope="module")
def of_sweep(swept):
    return page(*read_folders([swept]))


def test_runs_side_by_side_have_every_section(of_runs):
    made = Outline(of_runs)
    assert made.open == []
    assert made.sections == [
        *("designs", "tradeoff", "latency", "split", "tiers", "links", "trust", "sources"),
    ]
    for words in ("Held in DRAM", "Held in SSD", "Hits in HBM", "write through", "Prices", "GPU"):
        assert words in made.shown


def test_one_run_has_a_page_too(runs):
    made = Outline(page(*read_folders(runs[:1])))
    assert "tradeoff" not in made.sections
    assert "baseline" not in made.shown.split("How far to trust it")[0]


def test_a_sweep_has_every_section(of_sweep):
    made = Outline(of_sweep)
    assert made.open == []
    names = ("points", "front", "moved", "split", "trust")
    assert made.sections == [*(f"sweep0-{name}" for name in names), "sources0"]
    (packed,) = made.data()
    assert len(packed["rows"]) == 12
    assert [len(key["of"]) for key in packed["keys"]] == [12, 12, 12]


def test_runs_and_sweeps_stand_on_one_page(runs, swept):
    made = Outline(page(*read_folders([*runs, swept])))
    assert {"designs", "sweep0-points"} <= set(made.sections)
    assert len(made.data()) == 2


@pytest.mark.parametrize("which", ["of_runs", "of_sweep"])
def test_nothing_is_fetched(which, request):
    text = request.getfixturevalue(which)
    assert Outline(text).fetched == []
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|WebSocket|https?://", _code(text))


def _code(text):
    """Return styles and scripts, less the name of SVG's namespace."""
    parts = re.findall(r"<(?:style|script)[^>]*>(.*?)</(?:style|script)>", text, re.S)
    return "".join(parts).replace("http://www.w3.org/2000/svg", "")


def test_text_that_came_in_is_text(of_runs):
    made = Outline(of_runs)
    assert [kind for kind, _ in made.scripts] == ["application/json", None]
    assert '<script>alert("x")</script>' in html.unescape(made.shown)
    assert "<script>alert" not in of_runs


def test_equal_results_give_equal_pages(runs, swept, of_runs, of_sweep):
    assert page(*read_folders(runs)) == of_runs
    assert page(*read_folders([swept])) == of_sweep


def test_the_table_shows_the_summary_and_the_change(runs, of_runs):
    (base, tiered), _ = read_folders(runs)
    shown = Outline(of_runs).shown
    for run in (base, tiered):
        assert f"{100 * run.figures['hit_ratio']:.4g}%" in shown
    points = 100 * abs(tiered.figures["hit_ratio"] - base.figures["hit_ratio"])
    assert f"{points:.3g} points" in shown


def test_latencies_and_occupancy_agree_with_the_summary(runs):
    for run in read_folders(runs)[0]:
        for key, values in series.latencies(run).items():
            told = run.summary[f"{key}_s"]
            assert np.quantile(values, 0.99) == pytest.approx(told["p99"])
        x, y = series.shares(series.latencies(run)["ttft"])
        assert (y[0], y[-1]) == (0, 1)
        assert np.all(np.diff(x) >= 0)
        most = run.summary["tiers"]["hbm"]["peak_bytes"]
        assert series.hbm_held(run)[1].max() == pytest.approx(most)
    tiered = read_folders(runs)[0][1]
    _, held = series.held(tiered, "ssd")
    assert 0 < held.max() <= tiered.summary["tiers"]["ssd"]["peak_bytes"]
    assert series.held(read_folders(runs)[0][0], "ssd") is None


def test_hits_over_time_sum_to_the_tokens_reused(runs):
    for run in read_folders(runs)[0]:
        done = run.requests["scheduled_s"].to_numpy(), run.requests["input_tokens"].to_numpy()
        reused = run.summary["tokens"]["reused"]
        for tier in ("hbm", "dram", "ssd"):
            found = series.served(run, tier)
            if found is None:
                assert reused[tier] == 0
                continue
            edges = np.concatenate([[0.0], found[0]])
            asked, _ = np.histogram(done[0], edges, weights=done[1])
            came = np.nansum(found[1] * asked)
            assert came == pytest.approx(reused[tier], rel=0.15, abs=0.01 * asked.sum())

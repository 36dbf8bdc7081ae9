"""The page in a real browser: it draws, filters, tells and fits, without an error."""

import json
import os
import re
import shutil
import subprocess

import pytest

from tierlab.simulator.report.page import page
from tierlab.simulator.report.read import read_folders

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FIRST_CHIP = "document.querySelector('.chips button').click();"
DOTS = "document.querySelectorAll('.dot').length"


@pytest.fixture
def of_runs(runs, tmp_path):
    file = tmp_path / "runs.html"
    file.write_text(page(*read_folders(runs)), encoding="utf-8")
    return file


@pytest.fixture
def of_sweep(swept, tmp_path):
    file = tmp_path / "sweep.html"
    file.write_text(page(*read_folders([swept])), encoding="utf-8")
    return file


def test_points_are_drawn_filtered_and_drawn_on_other_axes(browser, of_sweep):
    told = browser(
        of_sweep,
        f"const all = {DOTS}; {FIRST_CHIP} const some = {DOTS}; {FIRST_CHIP}"
        f"const again = {DOTS}; const list = document.querySelectorAll('.tools select')[0];"
        "const before = document.querySelector('.explorer .axes').textContent;"
        "list.value = 'e2e_p99_s'; list.dispatchEvent(new Event('change'));"
        "const after = document.querySelector('.explorer .axes').textContent;"
        "const rows = document.querySelectorAll('.points tbody tr').length;"
        "const front = document.querySelectorAll('.dot.front').length;"
        "return { all, some, again, before, after, rows, front };",
    )
    assert (told["all"], told["some"], told["again"], told["rows"]) == (12, 8, 12, 12)
    assert told["before"].startswith("TTFT, p99")
    assert told["after"].startswith("E2E, p99")
    assert told["front"] >= 1


def test_the_front_of_the_plot_is_the_pareto_set(browser, of_sweep, swept):
    told = browser(
        of_sweep,
        "return [...document.querySelectorAll('.points tbody th')].map(x => x.textContent)",
    )
    front = {int(name.split()[0]) for name in told if "◆" in name}
    chosen = json.loads((swept / "choice.json").read_text())["pareto"]
    assert front == {row["point"] for row in chosen}


def test_a_hover_and_a_focus_tell_the_figures(browser, of_runs):
    told = browser(
        of_runs,
        "const canvas = document.querySelector('#latency .canvas');"
        "const box = canvas.getBoundingClientRect();"
        "canvas.dispatchEvent(new PointerEvent('pointermove', { clientX: box.left + 30,"
        " clientY: box.top + box.height / 2 }));"
        "const tip = document.querySelector('#tip'); const line = tip.textContent;"
        "document.querySelector('.dot').focus(); const dot = tip.textContent;"
        "return { line, dot, hidden: tip.hidden };",
    )
    assert re.match(r"50%\nhbm: [\d.]+ m?s\ntiered: [\d.]+ m?s$", told["line"])
    assert told["dot"].startswith("design ")
    assert told["hidden"] is False


def test_the_median_that_a_hover_tells_is_the_summarys(browser, of_runs, runs):
    told = browser(
        of_runs,
        "const canvas = document.querySelector('#latency .canvas');"
        "const box = canvas.getBoundingClientRect();"
        "canvas.dispatchEvent(new PointerEvent('pointermove', { clientX: box.left + 30,"
        " clientY: box.top + box.height / 2 }));"
        "return document.querySelector('#tip').textContent;",
    )
    number, unit = re.search(r"hbm: ([\d.]+) (m?s)", told).groups()
    seconds = float(number) * (1e-3 if unit == "ms" else 1.0)
    (base, _), _ = read_folders(runs)
    assert seconds == pytest.approx(base.summary["ttft_s"]["p50"], rel=0.02)


@pytest.mark.parametrize("which", ["of_runs", "of_sweep"])
def test_a_phone_scrolls_one_way_only(browser, which, request):
    told = browser(
        request.getfixturevalue(which),
        "const root = document.documentElement;"
        "const small = [...document.querySelectorAll('p, td, th, .xs span')].filter("
        "  x => parseFloat(getComputedStyle(x).fontSize) < 10.5).length;"
        "return [root.clientWidth, root.scrollWidth, small];",
        width=390,
    )
    assert told[0] <= 390
    assert told[1] <= told[0]
    assert told[2] == 0


def test_text_that_came_in_does_not_run(browser, of_runs):
    told = browser(of_runs, "return document.querySelector('h1').textContent")
    assert told.startswith('<script>alert("x")</script>')


def test_it_prints(of_sweep, tmp_path):
    command = next(filter(None, map(shutil.which, BROWSERS)), None)
    if command is None:
        pytest.skip("needs Chromium, none found")
    pdf = tmp_path / "page.pdf"
    subprocess.run(
        [
            *(command, "--headless", "--no-sandbox", "--disable-background-networking"),
            *(f"--user-data-dir={tmp_path / 'profile'}", f"--print-to-pdf={pdf}"),
            of_sweep.as_uri(),
        ],
        capture_output=True,
        timeout=60,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))
    assert 1 <= pages <= 8

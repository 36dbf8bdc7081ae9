"""Small runs and a small sweep on disk, made once; a browser."""

import html
import json
import os
import re
import shutil
import subprocess

import pytest

from tierlab.simulator import api
from tierlab.simulator.cli.main import run_cli

NASTY = "<script>alert(\"x\")</script> & 'q' </script>"
BASE = {
    "title": NASTY,
    "model": "Qwen2.5-7B-Instruct-1M",
    "hardware": "h200-tiered",
    "design": "vllm",
    "workload": {"generator": "agentic", "arrivals": "closed", "parameters": {"sessions": 3}},
    "engine": {"block_size": 64, "gpu_memory_utilization": 0.25},
    "slo": {"ttft_s": 30.0, "tpot_s": 0.1},
}
SWEEP = """
title = "KV format and DRAM"
[scenario]
model = "Qwen2.5-7B-Instruct-1M"
hardware = "h200-tiered"
design = "vllm"
slo = { ttft_s = 30.0 }
workload = { generator = "shared-prefix", parameters = { requests = 40 } }
[vary]
tiers.dram.capacity = [0.0, "1 GiB", "64 GiB"]
design.representation = ["bf16", "fp8"]
engine.max_num_seqs = [1, 16]
[choose]
objective = ["cost", "ttft"]
where = ["ttft_p99_s<=1000"]
"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Return the folders of a run in HBM alone and of one with DRAM and SSD."""
    place = tmp_path_factory.mktemp("runs")
    tiers = ["tiers.dram.capacity='16 GiB'", "tiers.ssd.capacity='1 TB'", "tiers.ssd.write='back'"]
    api.run(BASE, output=place / "hbm")
    api.run(BASE, tiers, output=place / "tiered")
    return [place / "hbm", place / "tiered"]


@pytest.fixture(scope="session")
def swept(tmp_path_factory):
    """Return the folder of a sweep of 12 points."""
    place = tmp_path_factory.mktemp("sweep")
    (place / "sweep.toml").write_text(SWEEP)
    assert run_cli(["sweep", str(place / "sweep.toml"), "-o", str(place / "out")]) == 0
    return place / "out"


@pytest.fixture
def browser(tmp_path):
    """Return a function that opens a page, runs a script in it, and returns what that returns.

    `browse(page, "return 1 + 1")` is 2. With `width`, the page is in a frame so many pixels wide.
    """
    command = next(filter(None, map(shutil.which, BROWSERS)), None)
    if command is None:
        pytest.skip("needs Chromium, none found")

    def browse(page, script, width=None):
        text = page.read_text(encoding="utf-8")
        asked = (
            "<script>addEventListener('load', () => setTimeout(() => { let told;"
            f"try {{ told = (() => {{ {script} }})(); }} catch (error) {{ told = String(error); }}"
            "const out = top.document.createElement('pre'); out.id = 'told';"
            "out.textContent = JSON.stringify(told); top.document.body.append(out); }, 50));"
            "</script></body>"
        )
        opened = tmp_path / "opened.html"
        opened.write_text(text.replace("</body>", asked), encoding="utf-8")
        if width is not None:
            frame = tmp_path / "frame.html"
            size = f"width:{width}px;height:800px;border:0"
            frame.write_text(f'<body><iframe src="opened.html" style="{size}"></iframe></body>')
            opened = frame
        done = subprocess.run(
            [
                *(command, "--headless", "--no-sandbox", "--disable-gpu"),
                *("--disable-background-networking", "--allow-file-access-from-files"),
                *("--virtual-time-budget=4000", "--enable-logging=stderr", "--dump-dom"),
                *(f"--user-data-dir={tmp_path / 'profile'}", opened.as_uri()),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "HOME": str(tmp_path)},
        )
        assert "Uncaught" not in done.stderr, done.stderr
        found = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.S)
        assert found, done.stderr[-2000:]
        return json.loads(html.unescape(found[1]))

    return browse

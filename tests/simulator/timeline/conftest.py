"""Runs on known step times, watched: the run and the events of its timeline."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.build import build
from tierlab.simulator.serving.run import Run, serve
from tierlab.simulator.timeline.timeline import Timeline
from tierlab.simulator.timeline.window import Window


@dataclass
class Watched:
    """A run, its file, and its events."""

    run: Run
    path: Path

    @property
    def events(self) -> list[dict[str, Any]]:
        return read(self.path)["traceEvents"]

    def of(self, ph: str, **fields: object) -> list[dict[str, Any]]:
        """Return the events of a phase that have these fields."""
        return [
            event
            for event in self.events
            if event["ph"] == ph and all(event.get(k) == v for k, v in fields.items())
        ]

    def counter(self, name: str, series: str, pid: int = 1) -> list[tuple[float, float]]:
        """Return (us, value) of a counter, the last value of each time alone."""
        found = self.of("C", name=name, pid=pid)
        return list({e["ts"]: (e["ts"], e["args"][series]) for e in found}.values())


def read(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    found: dict[str, Any] = json.loads(data)
    return found


@pytest.fixture
def watched(tmp_path, known_times) -> Callable[..., Watched]:
    """Serve a trace and watch it: `watched(trace, tiers={...}, window="1s:2s", **engine)`."""

    def run(
        requests: Any,
        step_s: float = 1.0,
        token_s: float = 0.01,
        tiers: dict[str, Any] | None = None,
        window: str | None = None,
        name: str = "t.json",
        hardware: str = "8xH200",
        watch: bool = True,
        **engine: object,
    ) -> Watched:
        data = {
            "model": "SmolLM2-135M",
            "hardware": hardware if not tiers else "h200-tiered",
            "design": "vllm" if tiers else "baseline",
            "workload": {"generator": "poisson"},
            "engine": {"max_model_len": 8192, "num_gpu_blocks": 12, "async_scheduling": False}
            | engine,
            "tiers": tiers or {},
            "time": {"host": "none"},
        }
        scenario = validate(data, "test")
        parts = build(scenario)
        parts = replace(parts, times=known_times(step_s, token_s, len(parts.model.layers)))
        path = tmp_path / name
        if not watch:
            return Watched(serve(scenario, parts, requests), path)
        shown = Window.parse(window) if window else Window()
        with Timeline(path, shown) as timeline:
            made = serve(scenario, parts, requests, watch=timeline)
            timeline.finish(made)
            timeline.publish()
        return Watched(made, path)

    return run

"""The manifest of a run: what went in, so that the same bytes can come out again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

from tierlab.simulator.results.inputs import input_files
from tierlab.simulator.results.provenance import measured_ways, provenance
from tierlab.simulator.scenario.schema import Scenario
from tierlab.simulator.serving.run import Run

LIBRARIES = ("numpy", "numba", "simpy", "polars", "pydantic")


def manifest(run: Run) -> dict[str, Any]:
    """Return the scenario as resolved, versions, seed, and the hash of every input file.

    Nothing in it depends on when or where the run took place.
    """
    scenario = run.scenario
    return {
        "tierlab": importlib.metadata.version("tierlab"),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "seed": scenario.seed,
        "scenario": scenario.model_dump(),
        "resolved": _resolved(run),
        "inputs": _inputs(scenario, run.trace.source_sha256),
        "provenance": provenance(run.parts),
    }


def _resolved(run: Run) -> dict[str, Any]:
    parts = run.parts
    return {
        "model": parts.model.name,
        "system": parts.system.name,
        "design": {axis: p.name for axis, p in parts.design.policies.items()},
        "time_model": parts.profile.name if parts.profile else parts.times.name,
        "max_model_len": parts.max_model_len,
        "num_gpu_blocks": parts.pool.num_blocks,
        "memory_bytes": dict(parts.memory.terms()),
        "transfers": measured_ways(parts.system),
    }


def _inputs(scenario: Scenario, trace_sha256: str) -> dict[str, str]:
    hashes = {key: sha256(path) for key, path in input_files(scenario).items()}
    if scenario.workload.trace is not None:
        hashes["trace"] = trace_sha256
    return hashes


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def dump_json(value: object) -> str:
    """Write JSON the one way that tierlab writes it: strict, indented, keys in order given."""
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)

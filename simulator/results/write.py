"""Write a run directory: tables, summary, manifest; and, apart, how long the run itself took."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tierlab.simulator.results.folder import new_folder
from tierlab.simulator.results.manifest import dump_json, manifest
from tierlab.simulator.results.tables import requests_frame, steps_frame, tiers_frame
from tierlab.simulator.serving.run import Run

VOLATILE = ("wall_s",)
"""Keys of the summary that differ between two runs of one scenario."""


def write_run(
    run: Run, summary: dict[str, Any], target: Path, extra: Mapping[str, str] | None = None
) -> None:
    """Write the run directory `target`.

    All its files are the same bytes for the same inputs and seed, but for ``timing.json``.

    Parameters
    ----------
    extra
        File name -> text of further files.

    Raises
    ------
    BadInput
        The folder cannot be written, or holds something else.
    """
    steady = {k: v for k, v in summary.items() if k not in VOLATILE}
    timing = {k: summary[k] for k in VOLATILE} | {"python": platform.python_version()}
    with new_folder(target) as folder:
        requests_frame(run).write_parquet(folder / "requests.parquet")
        steps_frame(run).write_parquet(folder / "steps.parquet")
        if run.tierings:
            tiers_frame(run).write_parquet(folder / "tiers.parquet")
        (folder / "summary.json").write_text(dump_json(steady) + "\n", encoding="utf-8")
        (folder / "timing.json").write_text(dump_json(timing) + "\n", encoding="utf-8")
        for name, text in (extra or {}).items():
            (folder / name).write_text(text + "\n", encoding="utf-8")
        (folder / "manifest.json").write_text(dump_json(manifest(run)) + "\n", encoding="utf-8")

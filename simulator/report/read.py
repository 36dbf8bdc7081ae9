"""Folders of runs and of sweeps, read and checked before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.comparison.simulated import (
    read_manifest,
    read_object,
    read_summary,
    read_table,
)
from tierlab.simulator.results.folder import MARK

if TYPE_CHECKING:
    import polars as pl

    from tierlab.simulator.choosing.choose import Choice

ACCEPTED = "folders that `tierlab run -o`, `replay -o` or `sweep -o` wrote"
MOST_RUNS = 12
_REQUESTS = (
    *("status", "arrival_s", "scheduled_s", "first_token_s", "last_token_s"),
    *("generated_tokens", "reused_tokens", "input_tokens"),
)
_STEPS = ("start_s", "end_s", "replica", "waiting", "kv_bytes")
_SUMMARY = ("requests", "simulated_s", "ttft_s", "tokens", "tiers", "links", "sources")


@dataclass(frozen=True, eq=False)
class RunData:
    """One run.

    Attributes
    ----------
    figures
        The summary, flat, under the names that the points of a sweep have.
    tiers
        None where there is HBM alone.
    """

    name: str
    summary: dict[str, Any]
    manifest: dict[str, Any]
    figures: dict[str, Any]
    requests: pl.DataFrame
    steps: pl.DataFrame
    tiers: pl.DataFrame | None

    @property
    def scenario(self) -> dict[str, Any]:
        """The scenario as resolved."""
        found: dict[str, Any] = self.manifest["scenario"]
        return found


@dataclass(frozen=True, eq=False)
class SweepData:
    """One finished sweep, and the choice among its points that was asked for last."""

    name: str
    manifest: dict[str, Any]
    choice: Choice


def read_folders(folders: Sequence[Path]) -> tuple[list[RunData], list[SweepData]]:
    """Read every folder, runs and sweeps apart, each in the order given.

    Raises
    ------
    BadInput
        No folder, no run or sweep in it, an unfinished or damaged one, one that is named twice,
        too many runs, or results of several versions of tierlab.
    """
    _refuse_twice(folders)
    manifests = [_manifest(folder) for folder in folders]
    _one_version(folders, manifests)
    names = _names(folders)
    runs, sweeps = [], []
    for folder, manifest, name in zip(folders, manifests, names, strict=True):
        if manifest.get("kind") == "sweep":
            sweeps.append(_sweep(folder, name, manifest))
        else:
            runs.append(_run(folder, name, manifest))
    if len(runs) > MOST_RUNS:
        accepted = f"at most {MOST_RUNS}; `tierlab sweep` has pages of thousands of points"
        raise BadInput("DIR", f"{len(runs)} runs side by side", accepted)
    return runs, sweeps


def _refuse_twice(folders: Sequence[Path]) -> None:
    seen = set()
    for folder in folders:
        if folder.resolve() in seen:
            raise BadInput("DIR", f"{folder} is named twice", "different folders")
        seen.add(folder.resolve())


def _manifest(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        what = f"{folder} is a file" if folder.exists() else f"no folder {folder}"
        raise BadInput("DIR", what, ACCEPTED)
    if not (folder / MARK).is_file():
        unfinished = (folder / "sweep.json").is_file()
        what = "holds an unfinished sweep" if unfinished else "holds no finished run"
        accepted = "tierlab sweep SWEEP.toml -o DIR --resume ends it" if unfinished else ACCEPTED
        raise BadInput("DIR", f"{folder} {what}", accepted)
    return read_manifest(folder)


def _one_version(folders: Sequence[Path], manifests: Sequence[Mapping[str, Any]]) -> None:
    """Refuse to lay results of different programs beside each other."""
    versions = [manifest.get("tierlab") for manifest in manifests]
    for folder, version in zip(folders, versions, strict=True):
        if not isinstance(version, str):
            raise BadInput("DIR", f"{folder}/{MARK} names no version of tierlab", ACCEPTED)
        if version != versions[0]:
            what = f"{folder} was written by tierlab {version}, {folders[0]} by {versions[0]}"
            raise BadInput("DIR", what, "results of one version; run the older ones again")


def _names(folders: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the paths that tell the folders apart."""
    parts = [folder.resolve().parts for folder in folders]
    for depth in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]


def _run(folder: Path, name: str, manifest: dict[str, Any]) -> RunData:
    from tierlab.simulator.sweep.figures import run_figures

    summary = read_summary(folder)
    for key in _SUMMARY:
        if key not in summary:
            raise BadInput(
                str(folder / "summary.json"), f"{key} is missing: no whole run", ACCEPTED
            )
    for key in ("scenario", "resolved", "inputs"):
        if not isinstance(manifest.get(key), dict):
            raise BadInput(str(folder / MARK), f"no table {key}: no whole run", ACCEPTED)
    requests, steps = read_table(folder, "requests.parquet"), read_table(folder, "steps.parquet")
    _need(folder / "requests.parquet", requests, _REQUESTS)
    _need(folder / "steps.parquet", steps, _STEPS)
    tiers = None
    if (folder / "tiers.parquet").is_file():
        tiers = read_table(folder, "tiers.parquet")
        _need(
            folder / "tiers.parquet", tiers, ("at_s", "replica", "tier", "held_bytes", "hit_tokens")
        )
    try:
        figures = run_figures({k: v for k, v in summary.items() if k != "bands"})
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(str(folder / "summary.json"), f"no whole run: {error}", ACCEPTED) from None
    return RunData(name, summary, manifest, figures, requests, steps, tiers)


def _need(path: Path, frame: pl.DataFrame, columns: Sequence[str]) -> None:
    for column in columns:
        if column not in frame.columns:
            raise BadInput(str(path), f"column {column} is missing", ACCEPTED)


def _sweep(folder: Path, name: str, manifest: dict[str, Any]) -> SweepData:
    from tierlab.simulator.choosing.choose import choose, keys_of, load_points
    from tierlab.simulator.choosing.objective import parse_where
    from tierlab.simulator.choosing.write import CHOICE

    points, asked = load_points(folder)
    if (folder / CHOICE).is_file():
        told = read_object(folder / CHOICE, ACCEPTED)
        try:
            objectives = [_asked(one) for one in told["objectives"]]
            asked = {"objective": objectives, "where": [str(text) for text in told["where"]]}
        except (KeyError, TypeError, AttributeError):
            raise BadInput(str(folder / CHOICE), "no whole choice", ACCEPTED) from None
    where = tuple(parse_where(text) for text in asked["where"])
    return SweepData(name, manifest, choose(points, keys_of(manifest), asked["objective"], where))


def _asked(objective: Mapping[str, Any]) -> str:
    """Return an objective so that it is read as it was meant, whatever its figure's name."""
    return f"{'max' if objective['maximise'] else 'min'}:{objective['name'].rpartition(':')[2]}"

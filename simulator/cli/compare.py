"""``tierlab compare``: a run against measurements, or against another run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tierlab.simulator.cli.tables import pairs, table


@click.command(
    epilog="""\b
Examples:
  tierlab compare out/run1 --measured requests.jsonl
  tierlab compare out/run1 --measured vllm-bench.json --json
  tierlab compare out/run1 out/run2
""",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("other", metavar="[DIR2]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--measured",
    type=click.Path(path_type=Path),
    help="per-request measurements: vLLM bench JSON (--save-detailed), or JSON lines with "
    "queued_ts, scheduled_ts, first_token_ts, last_token_ts",
)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def compare(folder: Path, other: Path | None, measured: Path | None, as_json: bool) -> None:
    """Hold the run in DIR against measurements of the same requests, or against the run in DIR2."""
    from tierlab.kernels.base.errors import BadInput
    from tierlab.simulator.comparison.compare import compare as hold
    from tierlab.simulator.comparison.measured import read_measured
    from tierlab.simulator.comparison.simulated import read_run
    from tierlab.simulator.results.manifest import dump_json

    if (other is None) == (measured is None):
        raise BadInput("compare", "one thing to compare with is needed", "--measured FILE or DIR2")
    theirs = read_measured(measured) if measured else read_run(other or folder)
    found = hold(read_run(folder, theirs.queued), theirs)
    if as_json:
        click.echo(dump_json(found))
    else:
        _print(found, "measured" if measured else "second")


def _print(found: dict[str, Any], second: str) -> None:
    from tierlab.simulator.comparison.served import METRICS

    first = "simulated" if second == "measured" else "first"
    pairs(
        f"{found['simulated']} against {found['measured']}",
        [
            ("requests", f"{found['requests']:,}, {found['lengths_differ']} of other lengths"),
            ("TTFT and E2E count from", found["counted_from"]),
        ],
    )
    rows = []
    for key, marks in found["latency"].items():
        for mark in ("mean", "p50", "p90", "p99"):
            name = METRICS[key] if mark == "mean" else ""
            rows.append([name, mark, *_cells(marks[mark])])
        rows.append(
            ["", "median error of a request", "", "", _share(marks["median_request_error"])]
        )
    table("latency", ("", "", first, second, "error"), rows)
    each = found["output_tokens_each_second"]
    rate = found["output_tokens_per_s"]
    lines = [("output tokens per second", " ".join(_rates(rate, first, second)))]
    if each is not None:
        text = f"median error {_share(each['median_error'])} over {each['seconds']} seconds"
        lines.append(("output tokens of each second", text))
    pairs("rate", lines)


def _cells(pair: dict[str, float | None]) -> list[str]:
    from tierlab.kernels.base.units import duration

    times = [
        "-" if pair[k] is None else duration(pair[k] or 0.0) for k in ("simulated", "measured")
    ]
    return [*times, _signed(pair["error"])]


def _rates(pair: dict[str, float | None], first: str, second: str) -> list[str]:
    ours, theirs = pair["simulated"], pair["measured"]
    if ours is None or theirs is None:
        return ["not known"]
    return [f"{ours:,.4g} {first},", f"{theirs:,.4g} {second},", _signed(pair["error"])]


def _signed(error: float | None) -> str:
    return "-" if error is None else f"{error:+.1%}"


def _share(error: float | None) -> str:
    return "-" if error is None else f"{error:.1%}"

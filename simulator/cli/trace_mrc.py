"""``tierlab trace mrc``: hits by cache size and policy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import pick
from tierlab.simulator.cli.trace_options import Source, read_log, records, source

if TYPE_CHECKING:
    from tierlab.simulator.curves.count import Curve

SUFFIXES = {"k": 1_000, "m": 1_000_000}
MOST_BLOCKS = 10**15
GIB = 2.0**30


@click.command(
    "mrc",
    epilog="""\b
Examples:
  tierlab trace mrc conversation_trace.jsonl --policy lru --capacity-blocks 1k,10k,100k
  tierlab trace mrc log.jsonl --policy lru,s3-fifo,belady --capacity-blocks 10k,50k \\
      --model Llama-3.1-8B -o mrc.html
  tierlab trace mrc log.jsonl --policy ttl,ttl:ttl_s=3600 --capacity-blocks 1M --json
""",
)
@source
@click.option(
    "--policy", required=True, metavar="P[,P]", help="Reuse policy, as P or P:PARAMETER=NUMBER."
)
@click.option(
    "--capacity-blocks", required=True, metavar="N[,N]", help="Blocks that fit; k and M scale."
)
@click.option(
    "--hits",
    default="prefix",
    show_default=True,
    metavar="prefix|flat",
    help="Hits: blocks of the longest cached prefix, or any cached block.",
)
@click.option("--model", default=None, metavar="M", help="Say sizes in GiB of this model's KV too.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=None,
    metavar="DIR|FILE.html",
    help="Write the plot to this file, or plot and numbers to this folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def mrc(
    trace: str,
    policy: str,
    capacity_blocks: str,
    hits: str,
    model: str | None,
    log_format: str | None,
    column_map: tuple[str, ...],
    seed: int,
    skip_bad: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Count which share of the request log TRACE's blocks a cache would serve, by its size.

    The blocks of a request are touched, or inserted, from the prompt's start.
    """
    from tierlab.simulator.cli.progress import progress
    from tierlab.simulator.curves.count import block_policy, curves
    from tierlab.simulator.results.folder import check_target

    capacities = [_capacity(text) for text in _listed(capacity_blocks, "--capacity-blocks")]
    policies = list(dict.fromkeys(_listed(policy, "--policy")))
    for name in policies:
        block_policy(name)
    prefix = pick(hits, {"prefix": True, "flat": False}, "--hits", "way to count")
    per_token = _kv_bytes_per_token(model)
    if output and output.suffix.lower() != ".html":
        check_target(output)
    named = Source(trace, log_format, column_map, seed, skip_bad)
    read = read_log(named, as_json=as_json or output is not None)
    log = read.trace
    with progress("counting", "blocks") as report:
        found = curves(log, policies, capacities, prefix=prefix, progress=report)
    block_bytes = None if per_token is None else per_token * log.block_tokens
    content = _content(found, block_bytes) | records(named, read)
    if output:
        _write(output, found, content, _inputs(log, hits, model, seed), block_bytes)
    if as_json:
        click.echo(json.dumps(content, indent=2))
    else:
        _print(found, f"{log.name}: {hits.lower()} hits over blocks asked for", block_bytes)


def _listed(text: str, where: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise BadInput(where, f"{text!r} has an empty entry", "entries with commas between them")
    return parts


def _capacity(text: str) -> int:
    scale = SUFFIXES.get(text[-1].lower(), 1)
    digits = text[:-1] if scale > 1 else text
    blocks = int(digits) * scale if digits.isascii() and digits.isdigit() and len(text) < 20 else 0
    if not 1 <= blocks <= MOST_BLOCKS:
        accepted = f"integers from 1 to {MOST_BLOCKS:.0e}, e.g. 1000,50k,1M"
        raise BadInput("--capacity-blocks", f"{text!r} is no capacity in blocks", accepted)
    return blocks


def _kv_bytes_per_token(model: str | None) -> float | None:
    if model is None:
        return None
    from tierlab.kernels.models.kv import kv_bytes_per_token
    from tierlab.kernels.models.load import load_model

    return kv_bytes_per_token(load_model(model))


def _content(found: Sequence[Curve], block_bytes: float | None) -> dict[str, Any]:
    """Return what ``--json`` prints: a curve, or several; with a model, capacities in GiB too."""
    plain = [curve.to_json() for curve in found]
    if block_bytes is not None:
        for curve in plain:
            for point in curve["points"]:
                point["capacity_gib"] = point["capacity_blocks"] * block_bytes / GIB
    return plain[0] if len(plain) == 1 else {"curves": plain}


def _inputs(log: Any, hits: str, model: str | None, seed: int) -> dict[str, Any]:
    named = {"trace": log.name, "sha256": log.source_sha256, "seed": seed, "hits": hits.lower()}
    return named | ({} if model is None else {"model": model})


def _write(
    output: Path,
    found: Sequence[Curve],
    content: dict[str, Any],
    inputs: dict[str, Any],
    block_bytes: float | None,
) -> None:
    from tierlab.simulator.curves.files import write_curves

    write_curves(output, found, content, inputs, block_bytes)


def _print(found: Sequence[Curve], title: str, block_bytes: float | None) -> None:
    from tierlab.simulator.cli.tables import table

    header = [f"blocks of {found[0].block_tokens} tokens", *(curve.policy for curve in found)]
    if block_bytes is not None:
        header.insert(1, "GiB")
    rows = []
    for i, (capacity, _) in enumerate(found[0].points):
        sizes = [] if block_bytes is None else [f"{capacity * block_bytes / GIB:,.4g}"]
        rows.append([f"{capacity:,}", *sizes, *(f"{c.points[i][1]:.4f}" for c in found)])
    table(title, header, rows)

"""A trace to a Parquet file that `read_trace` reads back without loss.

Columns: `tierlab.traces.frame`. Metadata of the file: ``tierlab.schema``, ``tierlab.name``,
``tierlab.block_tokens``, ``tierlab.partial_tail``, ``tierlab.origin_sha256`` (the SHA-256 of the
log that the trace was read from; a trace read back carries that of the Parquet file itself).
"""

from __future__ import annotations

from pathlib import Path

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.whole import write_whole
from tierlab.traces.readers.tierlab import SCHEMA
from tierlab.traces.schema import Trace


def metadata(trace: Trace) -> dict[str, str]:
    """Return what the file says about the whole trace."""
    return {
        "tierlab.schema": SCHEMA,
        "tierlab.name": trace.name,
        "tierlab.block_tokens": str(trace.block_tokens),
        "tierlab.partial_tail": "true" if trace.partial_tail else "false",
        "tierlab.origin_sha256": trace.source_sha256,
    }


def write_trace(trace: Trace, path: str | Path, where: str = "--output") -> None:
    """Write a trace as Parquet; the file appears whole or not at all.

    Raises
    ------
    BadInput
        The place cannot be written.
    """
    target = Path(path).expanduser()
    if target.is_dir():
        raise BadInput(where, f"{target} is a folder", "a path to a .parquet file")
    frame = trace.to_frame()
    write_whole(
        target,
        lambda file: frame.write_parquet(file, compression="zstd", metadata=metadata(trace)),
        where,
    )

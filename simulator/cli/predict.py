"""``tierlab predict``: times of a table of shapes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tierlab.simulator.cli import options

if TYPE_CHECKING:
    import polars as pl

_OPS = (
    "gemm, grouped_gemm, prefill_attention, decode_attention, mamba_prefill, mamba_decode, "
    "elementwise, sample, all_reduce, all_gather, reduce_scatter, all_to_all, "
    "prefill_attention_backward; and as rows of these "
    "norm, rotary, activation, quantise, dequantise, hadamard, gather, score, top_k"
)
_SCHEDULES = (
    "materialised, flash1, flash2, flash3, flat, fusemax (prefill_attention); unsplit, "
    "flash_decoding, lean (decode_attention)"
)
_DTYPES = "none, fp32, bf16, fp16, fp8, int8, fp4, int4"


@click.command(
    epilog=f"""Columns of SHAPES, each a number unless said, absent or null where not meant:
op (text: {_OPS}); dtype and kv_dtype (text: {_DTYPES}; of a gemm, kv_dtype is the stored
weights'; fp8 attention means kv_dtype = fp8); batch, q_len, kv_len (keys that the last query
sees, itself included), kv_len_spread, heads, kv_heads, head_dim, v_head_dim, window, latent_rank,
experts, top_k, routing (of tokens to experts: 0 even, 1 uniform, over 1 and up to 3 the exponent
of a power law), state_size, m, n, k, devices, bytes; framework and kernel (text: of the
calibration, null for its default, which the output names).

framework = schedule asks what attention takes under a schedule, whatever kernel was measured; its
kernel is one of {_SCHEDULES}.

\b
Added: seconds, seconds_p10, seconds_p90, source (datasheet, calibrated), extrapolated, kernel.

\b
Examples:
  tierlab predict shapes.parquet --hardware H200 -o times.parquet
  tierlab predict shapes.csv --hardware ./my-gpu.toml --datasheet -o times.parquet
  tierlab predict shapes.parquet --hardware H100 --calibration h100.json -o times.csv
""",
)
@click.argument("shapes", type=click.Path(path_type=Path))
@options.hardware
@click.option(
    "--calibration", type=click.Path(path_type=Path), metavar="FILE",
    help="A file of 'tierlab calibrate'; absent, the one that ships for the device.",
)  # fmt: skip
@click.option("--datasheet", is_flag=True, help="Use nothing that was fitted on this device.")
@click.option(
    "-o", "--output", "output", required=True, type=click.Path(path_type=Path), metavar="FILE",
    help="Where the times go: .parquet or .csv.",
)  # fmt: skip
def predict(
    shapes: Path, hardware: str, calibration: Path | None, datasheet: bool, output: Path
) -> None:
    """Predict how long the operations in SHAPES (.parquet or .csv) take, with bands."""
    from tierlab.hwmodels.catalogue import load_system
    from tierlab.hwmodels.time.silicon.machine import machine_of
    from tierlab.hwmodels.time.silicon.make import calibration_for, of_calibration
    from tierlab.hwmodels.time.silicon.shapes import predict_shapes
    from tierlab.simulator.cli.outputs import check_output

    check_output(output, (".parquet", ".csv"))
    system = load_system(hardware, "--hardware")
    option = "--calibration" if calibration else "--datasheet"
    chosen = calibration_for(system.gpu, calibration, option, datasheet=datasheet)
    done = predict_shapes(
        read_frame(shapes, "SHAPES"),
        chosen,
        lambda c: of_calibration(c, system.gpu, system.peer_link),
        machine_of(system.gpu),
        str(shapes),
    )
    write_frame(done, output)


def read_frame(path: Path, where: str) -> pl.DataFrame:
    """Read a table from Parquet or CSV.

    Raises
    ------
    BadInput
        It is missing, or neither.
    """
    import polars as pl

    from tierlab.kernels.base.errors import BadInput

    if not path.is_file():
        raise BadInput(where, f"no such file: {path}", "a .parquet or .csv")
    if path.suffix not in (".parquet", ".csv"):
        raise BadInput(where, f"{path.name} is of an unknown kind", ".parquet, .csv")
    try:
        return pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        what = str(error).splitlines()[0]
        raise BadInput(str(path), f"cannot be read: {what}", f"a valid {path.suffix}") from None


def write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Write a table as its name says, whole or not at all.

    Raises
    ------
    BadInput
        It cannot be written.
    """
    from tierlab.kernels.base.whole import write_whole

    write_whole(path, frame.write_csv if path.suffix == ".csv" else frame.write_parquet, "-o")

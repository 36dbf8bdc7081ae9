"""What every time model of the registry must do, whatever is behind it."""

from pathlib import Path

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device, load_link
from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.time.registry import TIME_MODELS, time_model
from tierlab.hwmodels.time.silicon.model import Silicon
from tierlab.hwmodels.time.times import SOURCES, TimeModel, Times
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.ops.table import OpTable

TABLE_TOML = """device = "H200"
framework = "none"
version = "0"
date = 2026-11-21
machine = "synthetic"
command = "seconds = 5e-6 + 1e-8 m"
"""


def gpu(name: str = "h200") -> Gpu:
    device = load_device(name, "test")
    assert isinstance(device, Gpu)
    return device


def write_table(folder: Path) -> Path:
    rows = [f"gemm,{m},4096,4096,{5 + 0.01 * m}" for m in (1, 16, 256, 1024, 4096)]
    (folder / "gemm.csv").write_text("op,m,n,k,time_us\n" + "\n".join(rows) + "\n")
    (folder / "gemm.toml").write_text(TABLE_TOML)
    return folder / "gemm.csv"


@pytest.fixture(params=sorted(TIME_MODELS))
def model(request: pytest.FixtureRequest, tmp_path: Path) -> TimeModel:
    table = str(write_table(tmp_path))
    specs = {"roofline": "roofline", "silicon": "silicon", "table": table}
    spec = specs[request.param]
    return time_model(spec, gpu(), load_link("nvlink4", "test"), "--time")


def mixed(n: int = 60) -> OpTable:
    rng = np.random.default_rng(3)
    attention = {"heads": 32, "kv_heads": 8, "head_dim": 128}
    m = rng.integers(1, 9000, n)
    context = rng.integers(1, 100_000, n)
    return OpTable.concat(
        [
            OpTable.build("gemm", "bf16", m=m, n=4096, k=4096),
            OpTable.build("gemm", "bf16", "int4", m=m, n=6144, k=4096),
            OpTable.build("gemm", "fp8", "fp8", m=m, n=4096, k=14336),
            OpTable.build("grouped_gemm", "bf16", m=m, n=4096, k=768, experts=128, top_k=8),
            OpTable.build(
                "decode_attention", "bf16", "fp8", batch=m, q_len=1, kv_len=context, **attention
            ),
            OpTable.build(
                "prefill_attention",
                "bf16",
                "bf16",
                batch=1,
                q_len=512,
                kv_len=512 + context,
                **attention,
            ),
            OpTable.build(
                "mamba_prefill",
                "bf16",
                batch=1,
                q_len=m,
                heads=128,
                kv_heads=8,
                head_dim=64,
                state_size=128,
            ),
            OpTable.build(
                "mamba_decode",
                "bf16",
                batch=m,
                q_len=1,
                heads=128,
                kv_heads=8,
                head_dim=64,
                state_size=128,
            ),
            OpTable.build("elementwise", "bf16", bytes=m * 8192.0),
            OpTable.build("sample", "bf16", m=m, n=128_256),
            OpTable.build("all_reduce", "bf16", devices=8, bytes=m * 8192.0),
            OpTable.build("all_gather", "bf16", devices=4, bytes=m * 8192.0),
            OpTable.build("reduce_scatter", "bf16", devices=4, bytes=m * 8192.0),
            OpTable.build("all_to_all", "bf16", devices=4, bytes=m * 8192.0),
        ]
    )


FIELDS = {
    "seconds": np.float64,
    "p10": np.float64,
    "p90": np.float64,
    "source": np.uint8,
    "extrapolated": np.bool_,
    "bias_group": np.int32,
}


def same(a: Times, b: Times) -> bool:
    return all(np.array_equal(getattr(a, f), getattr(b, f)) for f in FIELDS)


@pytest.mark.parametrize("n", [0, 1, 60])
def test_shapes_and_dtypes(model: TimeModel, n: int) -> None:
    times = model.predict(mixed(n))
    for name, dtype in FIELDS.items():
        column = getattr(times, name)
        assert column.shape == (14 * n,), name
        assert column.dtype == dtype, name


def test_values_are_times_with_bands(model: TimeModel) -> None:
    times = model.predict(mixed())
    for column in (times.seconds, times.p10, times.p90):
        assert np.isfinite(column).all()
        assert (column > 0).all()
    assert ((times.p10 <= times.seconds) & (times.seconds <= times.p90)).all()
    assert (times.source < len(SOURCES)).all()
    assert (times.p10 < times.p90).all()


def test_the_same_question_has_the_same_answer(model: TimeModel) -> None:
    ops = mixed()
    before = ops.values.copy()
    assert same(model.predict(ops), model.predict(ops))
    assert np.array_equal(ops.values, before)


def test_a_row_alone_gets_the_answer_that_it_gets_in_company(model: TimeModel) -> None:
    ops = mixed(5)
    whole = model.predict(ops)
    for row in range(len(ops)):
        one = model.predict(ops.take(np.array([row])))
        for name in FIELDS:
            assert getattr(one, name)[0] == getattr(whole, name)[row], (row, name)


def test_more_work_never_takes_less_time(model: TimeModel) -> None:
    sizes = np.unique(np.geomspace(1, 200_000, 200).astype(int))
    attention = {"heads": 32, "kv_heads": 8, "head_dim": 128}
    ladders = [
        OpTable.build("gemm", "bf16", m=sizes, n=4096, k=4096),
        OpTable.build(
            "decode_attention", "bf16", "bf16", batch=8, q_len=1, kv_len=sizes, **attention
        ),
        OpTable.build(
            "prefill_attention", "bf16", "bf16", batch=1, q_len=sizes, kv_len=sizes, **attention
        ),
        OpTable.build("elementwise", "bf16", bytes=sizes * 1000.0),
        OpTable.build("all_reduce", "bf16", devices=8, bytes=sizes * 1000.0),
    ]
    # Measured silicon is not monotone where launch dominates (a 4096 x 4096 product on the H200
    # takes 13.9 us for 17 rows and 12.0 us for 64), so a model calibrated on it is held to 1.45
    # times the work, where the work takes its time.
    silicon = isinstance(model, Silicon)
    apart, least_s = (6, 20e-6) if silicon else (1, 0.0)
    for ladder in ladders:
        seconds = model.predict(ladder).seconds
        less, more = seconds[:-apart], seconds[apart:]
        assert (more >= less)[less > least_s].all()


def test_it_says_what_it_stands_for(model: TimeModel) -> None:
    assert "H200" in model.name


def test_each_operation_errs_as_a_group_of_its_own(model: TimeModel) -> None:
    ops = mixed(3)
    group = model.predict(ops).bias_group
    for code in np.unique(ops.op):
        assert not np.intersect1d(group[ops.op == code], group[ops.op != code]).size


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("rooflin", "did you mean roofline?"),
        ("table", "a table needs its file"),
        ("roofline:x.csv", "reads no file"),
        ("nowhere/t.csv", "t.toml with the times' provenance is missing"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(spec: str, says: str) -> None:
    with pytest.raises(BadInput) as error:
        time_model(spec, gpu(), None, "--time")
    assert says in error.value.line()
    assert "\n" not in error.value.line()


def test_a_table_goes_by_its_path_or_by_name(tmp_path: Path) -> None:
    path = write_table(tmp_path)
    by_path, by_name = (time_model(s, gpu(), None, "t") for s in (str(path), f"table:{path}"))
    ops = OpTable.build("gemm", "bf16", m=[7, 2000], n=4096, k=4096)
    assert same(by_path.predict(ops), by_name.predict(ops))

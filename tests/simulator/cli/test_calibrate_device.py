"""`tierlab calibrate --device`, as a user runs it: what stops it, and what reads its file."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tierlab.kernels.measure.output import dump

MEASURE = ("calibrate", "--device", "cpu", "--quick", "--only", "memory")


def test_memory_is_measured_into_a_file(tierlab, tmp_path) -> None:
    done = tierlab(*MEASURE, "--budget", 0.1, "-o", "cpu.json")
    names = [line.split(": ")[0] for line in done.stdout.splitlines()]
    assert names == ["memory_read_bytes_per_s", "memory_copy_bytes_per_s"]
    assert done.stderr.splitlines()[-1].startswith("cpu.json: ")
    data = json.loads((tmp_path / "cpu.json").read_text())
    assert data["provenance"]["command"].endswith("--budget 0.1 -o cpu.json")
    assert {r["op"] for r in data["rows"]} == {"read", "copy"}
    for row in data["rows"]:
        assert 0 < row["seconds_p10"] <= row["seconds"] <= row["seconds_p90"]
    assert [p.name for p in tmp_path.iterdir()] == ["cpu.json"]


@pytest.fixture
def running(tmp_path):
    """Return a function that starts a measurement and waits for some of it."""
    started = []

    def start(lines: int = 3) -> subprocess.Popen:
        command = [
            str(Path(sys.prefix) / "bin" / "tierlab"),
            *MEASURE,
            "--budget",
            "60",
            "-o",
            "o.json",
        ]
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        started.append(process)
        journal = tmp_path / "o.json.journal"
        until = time.monotonic() + 60
        while not journal.exists() or journal.read_text().count("\n") < lines:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.02)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def kept(folder: Path) -> int:
    return (folder / "o.json.journal").read_text().count("\n") - 1


def goes_on(tierlab, tmp_path: Path) -> None:
    before = kept(tmp_path)
    done = tierlab(*MEASURE, "--budget", 0.1, "-o", "o.json")
    assert f"goes on after {before} measurements" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["o.json"]
    provenance = json.loads((tmp_path / "o.json").read_text())["provenance"]
    assert provenance["resumed_measurements"] == before


def test_ctrl_c_keeps_what_was_measured(tierlab, running, tmp_path) -> None:
    process = running()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    *_, line = said.splitlines()  # a busy machine is told before
    assert line.startswith(f"tierlab: interrupted; {kept(tmp_path)} measurements are kept in ")
    assert line.endswith("o.json.journal; the same command goes on")
    goes_on(tierlab, tmp_path)


def test_a_killed_run_goes_on(tierlab, running, tmp_path) -> None:
    os.kill(running().pid, signal.SIGKILL)
    time.sleep(0.1)
    goes_on(tierlab, tmp_path)


def refused(done, *said: str) -> None:
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("tierlab: error: ")
    for text in said:
        assert text in line


@pytest.fixture
def no_gpu(tmp_path):
    """Return an environment in which CuPy is there and no GPU is."""
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "cupy.py").write_text(
        "class E(RuntimeError): ...\n"
        "class cuda:\n"
        "    class runtime:\n"
        "        CUDARuntimeError = E\n"
        "        @staticmethod\n"
        "        def getDeviceCount(): raise E('cudaErrorNoDevice: no CUDA-capable device')\n"
    )
    return folder


def test_no_gpu_is_one_line(tierlab, no_gpu, tmp_path) -> None:
    done = tierlab(
        "calibrate", "--device", "cuda:0", "-o", "o.json", check=False,
        env={"PYTHONPATH": f"{no_gpu}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    )  # fmt: skip
    refused(done, "--device: cuda:0: no GPU can be used", "NoDevice", "--device cpu")
    assert not (tmp_path / "o.json").exists()


BAD = {
    "neither": ((), "neither --device nor --from given; accepted: one of them"),
    "both": (("--device", "cpu", "--from", "x.csv"), "both --device and --from given"),
    "device": (("--device", "tpu"), "--device: unknown device 'tpu'"),
    "part": (("--device", "cpu", "--only", "memry"), "did you mean memory?"),
    "folder": (("--device", "cpu", "--files", "none"), "--files: no such folder: none"),
    "hardware": (("--device", "cpu", "--hardware", "H201"), "--hardware: unknown"),
    "system": (("--device", "cpu", "--system", "h200_sxm"), "--system: goes with --from only"),
    "quick": (("--from", "x.csv", "--quick"), "--quick: goes with --device only"),
    "no files": (
        ("--device", "cuda:0", "--files", "."),
        "--files: a GPU is measured without files",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(tierlab, tmp_path, name: str) -> None:
    arguments, said = BAD[name]
    refused(tierlab("calibrate", *arguments, "-o", "o.json", check=False), said)
    assert list(tmp_path.iterdir()) == []


CPU = """
kind = "gpu"
name = "my-cpu"
summary = "this processor, as what computes"
memory_type = "DDR5"
host_link = "pcie4-x16"
default_host = "ddr5-server"
memory = { value = 24, unit = "GiB", source = "test" }
memory_bandwidth = { value = 32, unit = "GB/s", source = "test" }
sms = { value = 2, unit = "1", source = "test" }
clock = { value = 2.6, unit = "GHz", source = "test" }
l2 = { value = 32, unit = "MiB", source = "test" }
sram_per_sm = { value = 1, unit = "MiB", source = "test" }
kernel_launch = { value = 5, unit = "us", source = "test" }
copy_engines = { value = 1, unit = "1", source = "test" }
tdp = { value = 60, unit = "W", source = "test" }
idle = { value = 20, unit = "W", source = "test" }
[peak]
fp32 = { value = 200, unit = "GFLOP/s", source = "test" }
"""


@pytest.fixture
def measured(tmp_path):
    """Write a device, and measurements of it: every shape as fast as the device allows."""
    from tierlab.kernels.measure.shapes import CPU as RANGES
    from tierlab.kernels.measure.shapes import points

    rows = []
    for point in points(RANGES, "numba"):
        c = point.columns
        seconds = 1e-5 + c["flops"] / 150e9 + c.get("moved_bytes", c.get("bytes")) / 25e9
        rows.append({**c, "seconds": seconds, "seconds_p10": seconds, "seconds_p90": seconds})
    copy = {"op": "copy", "src": "dram", "dst": "dram", "bytes": 8, "seconds": 1e-6}
    provenance = {
        "device": "my-cpu",
        "date": "2026-11-21",
        "command": "tierlab calibrate --device cpu",
        "versions": {"tierlab": "0.1.0"},
    }
    (tmp_path / "my-cpu.toml").write_text(CPU)
    (tmp_path / "m.json").write_text(dump(provenance, {}, [copy, *rows]))
    return rows


@pytest.mark.parametrize("name", ["table:", ""])
def test_a_table_reads_the_file(measured, tmp_path, name: str) -> None:
    import numpy as np

    from tierlab.hwmodels.catalogue import load_system
    from tierlab.hwmodels.time.registry import time_model
    from tierlab.kernels.ops.table import OpTable

    gpu = load_system(str(tmp_path / "my-cpu.toml"), "H").gpu
    model = time_model(f"{name}{tmp_path / 'm.json'}", gpu, None, "time")
    decodes = [r for r in measured if r["operation"] == "decode"]
    names = ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim")
    columns = {n: [r[n] for r in decodes] for n in names}
    told = model.predict(OpTable.build("decode_attention", "fp32", "fp32", **columns))
    np.testing.assert_allclose(told.seconds, [r["seconds"] for r in decodes], rtol=1e-9)
    assert not told.extrapolated.any()
    assert model.name == "my-cpu, tierlab 0.1.0, measured 2026-11-21"


def test_a_calibration_is_fitted_to_the_file(measured, tierlab, tmp_path) -> None:
    done = tierlab("calibrate", "--from", "m.json", "--hardware", "./my-cpu.toml", "-o", "fit.json")
    assert "decode_attention int4: 7 rows are too few for a fit, left out" in done.stderr
    fitted = json.loads((tmp_path / "fit.json").read_text())
    assert fitted["device"] == "my-cpu"
    assert {k["op"] for k in fitted["kernels"]} == {"gemm", "decode_attention", "prefill_attention"}


def test_tables_of_another_device_or_too_short_are_refused(measured, tmp_path) -> None:
    from tierlab.hwmodels.catalogue import load_system
    from tierlab.hwmodels.time.registry import time_model
    from tierlab.kernels.base.errors import BadInput

    gpu = load_system("H200", "H").gpu
    with pytest.raises(BadInput, match="times of 'my-cpu', not of"):
        time_model(f"table:{tmp_path / 'm.json'}", gpu, None, "time")
    data = json.loads((tmp_path / "m.json").read_text())
    few = dump(data["provenance"], {}, [r for r in data["rows"] if r["op"] == "copy"])
    (tmp_path / "m.json").write_text(few)
    with pytest.raises(BadInput, match="no operation has enough rows"):
        time_model(f"table:{tmp_path / 'm.json'}", gpu, None, "time")


def test_the_kernel_with_most_shapes_on_an_idle_device_answers() -> None:
    from tierlab.hwmodels.time.measuredjson import operation_rows

    def row(kernel: str, **changed) -> dict:
        return {"op": "gemm", "dtype": "fp32", "kernel": kernel, "seconds": 1.0} | changed

    rows = [
        row("a"),
        row("b"),
        row("b", load="gemm"),
        row("b", load="idle"),
        row("c", dtype="fp16"),
    ]
    rows += [{"op": "quantise", "dtype": "fp32", "seconds": 1.0}, row("b", kv_dtype="int2")]
    assert operation_rows(rows) == [rows[1], rows[3], rows[4]]

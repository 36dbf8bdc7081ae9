"""From `tierlab calibrate --device` to `tierlab run`: transfers that this machine really did."""

import json
from hashlib import sha256

import pytest

FILES = ("calibrate", "--device", "cpu", "--quick", "--only", "files", "--budget", 0.5)
SCENARIO = """
model = "SmolLM2-135M"
hardware = { name = "h200-tiered", transfers = "cpu.json" }
design = "vllm"

[workload]
generator = "chat"
parameters = { sessions = 12, sessions_per_s = 1.0 }

[engine]
num_gpu_blocks = 700
max_model_len = 8192

[tiers.ssd]
capacity = "1 GB"
"""


@pytest.fixture
def folder(tmp_path):
    inner = tmp_path / "scenario"
    inner.mkdir()
    (inner / "s.toml").write_text(SCENARIO)
    return inner


def rows(latency_s, bytes_per_s, ops=("read", "write")):
    ends = {"read": ("file", "dram"), "write": ("dram", "file")}
    for op in ops:
        for depth in (1, 32):
            for size in (2**12, 2**16, 2**20):
                yield {
                    "op": op,
                    "src": ends[op][0],
                    "dst": ends[op][1],
                    "mechanism": "io_uring",
                    "bytes": 256 * size,
                    "piece_bytes": size,
                    "pieces": 256,
                    "queue_depth": depth,
                    "load": "idle",
                    "seconds": 256 * (latency_s / depth + size / bytes_per_s),
                    "seconds_p10": 128 * (latency_s / depth + size / bytes_per_s),
                    "seconds_p90": 512 * (latency_s / depth + size / bytes_per_s),
                }


def told(done):
    return json.loads(done.stdout)


def test_what_this_machine_measured_is_what_a_run_copies_by(tierlab, folder) -> None:
    tierlab(*FILES, "-o", folder / "cpu.json")
    measured = json.loads((folder / "cpu.json").read_text())
    run = tierlab("run", folder / "s.toml", "-o", "out")
    assert "of copied bytes" in run.stdout
    out = folder.parent / "out"
    summary, manifest = (
        json.loads((out / name).read_text()) for name in ("summary.json", "manifest.json")
    )
    assert summary["tokens"]["reused"]["ssd"] > 0
    assert summary["copies"]["partly"] == 1.0  # the drive was measured, the GPU's link was not
    digest = sha256((folder / "cpu.json").read_bytes()).hexdigest()
    assert manifest["inputs"] == {"hardware.transfers": digest}
    ways = {(w["node"], w["way"]): w for w in manifest["resolved"]["transfers"]}
    assert set(ways) == {(f"ssd{n}", way) for n in (0, 1) for way in ("read", "write")}
    read = ways["ssd0", "read"]
    assert (read["date"], read["device"]) == tuple(
        measured["provenance"][key] for key in ("date", "device")
    )
    reads = [r for r in measured["rows"] if r["op"] == "read"]
    assert read["bytes_per_s"] >= max(r["bytes"] / r["seconds"] for r in reads)
    assert read["queue_depths"] == [1, 32]
    sources = {row["key"]: row["source"] for row in manifest["provenance"]["hardware"]}
    assert sources["ssd.read_bandwidth"].startswith(f"measured {read['date']} on {read['device']}")
    assert not sources["gpu.memory"].startswith("measured")
    page = tierlab("report", "out", "-o", "page.html")
    assert page.returncode == 0
    assert f"measured {read['date']} on" in (folder.parent / "page.html").read_text()


def test_a_slower_measured_drive_makes_answers_later(tierlab, folder, transfers) -> None:
    ttft = {}
    for name, latency_s, rate in (("fast", 20e-6, 10e9), ("slow", 5e-3, 0.1e9)):
        transfers(f"{name}.json", list(rows(latency_s, rate)))
        setting = f"hardware.transfers={name}.json"
        done = tierlab("run", folder / "s.toml", "--set", setting, "--json")
        ttft[name] = told(done)["ttft_s"]["p99"]
    assert ttft["slow"] > 2 * ttft["fast"]


def test_bands_of_measured_times_are_carried(tierlab, folder, transfers) -> None:
    transfers("m.json", list(rows(5e-3, 0.1e9)))
    asked = ("run", folder / "s.toml", "--set", "hardware.transfers=m.json", "--json")
    found = told(tierlab(*asked, "--bands"))
    ends = [found["bands"][end]["ttft_s"]["mean"] for end in ("p10", "p90")]
    assert ends[0] < found["ttft_s"]["mean"] < ends[1]
    alone = told(tierlab(*asked, "--set", "time.band=p90"))
    assert alone["ttft_s"]["mean"] == ends[1]


def test_fewer_in_flight_take_longer(tierlab, folder, transfers) -> None:
    transfers("m.json", list(rows(5e-3, 1e9)))
    asked = ("run", folder / "s.toml", "--set", "hardware.transfers=m.json", "--json")
    deep, shallow = (
        told(tierlab(*asked, *more))["ttft_s"]["p99"]
        for more in ((), ("--set", "tiers.ssd.queue_depth=1"))
    )
    assert shallow > 1.5 * deep


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["hardware.transfers=none.json"], "hardware.transfers: no such file: none.json"),
        (["hardware.transfers=reads.json"], "reads.json: no rows of a drive's writes (write)"),
        (["hardware.transfers=gemm.json"], "gemm.json: holds no transfers"),
        (["hardware.transfers=scenario/s.toml"], "not JSON"),
        (["hardware.transfers={ sdd = 'reads.json' }"], "'sdd' is no drive and no GPU"),
        (["hardware.transfers={ gpu = 'reads.json' }"], "holds no transfers of gpu"),
        (["hardware.transfers=bad.json"], "bad.json: row 1: seconds is -1.0"),
        (["hardware.transfers=[]", "tiers.ssd.queue_depth=4"], "has no measured times"),
        (["tiers.dram.capacity=1 GB", "tiers.dram.queue_depth=4"], "host0 is no drive"),
    ],
)
def test_wrong_files_are_one_line(tierlab, folder, transfers, settings, said) -> None:
    reads = list(rows(1e-4, 1e9, ["read"]))
    transfers("reads.json", reads)
    transfers("gemm.json", [{"op": "gemm", "m": 1, "n": 1, "k": 1, "seconds": 1.0}])
    transfers("bad.json", [reads[0] | {"seconds": -1.0}])
    given = [part for text in settings for part in ("--set", text)]
    done = tierlab("run", folder / "s.toml", *given, "-o", "out", check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (folder.parent / "out").exists()


def test_a_drive_that_is_only_read_needs_no_writes(tierlab, folder, transfers) -> None:
    transfers("reads.json", list(rows(1e-4, 1e9, ["read"])))
    given = ("hardware.transfers=reads.json", "tiers.ssd.write=never")
    settings = [part for text in given for part in ("--set", text)]
    assert tierlab("run", folder / "s.toml", *settings).returncode == 0


def test_show_tells_what_a_file_measured(tierlab, transfers) -> None:
    transfers("m.json", list(rows(80e-6, 4e9)))
    shown = tierlab("show", "transfers", "m.json").stdout
    assert "measured 2026-11-21 on a CPU" in shown
    assert "read" in shown
    assert "1, 32" in shown
    found = told(tierlab("show", "transfers", "m.json", "--json"))["ways"]
    assert [way["way"] for way in found] == ["read", "write"]
    assert found[0]["latency_s"] == pytest.approx(80e-6, rel=0.02)

"""``tierlab plan --trace`` and ``--crossover`` from the command line."""

import json

import numpy as np
import pytest

from tierlab.simulator.cli.main import run_cli

BASE = ("--model", "SmolLM2-135M", "--hardware", "h200-tiered")
FEW = ("--set", "engine.num_gpu_blocks=80", "--set", "engine.max_model_len=4096")


@pytest.fixture
def trace(tmp_path):
    """Write a Mooncake log of 120 requests over ten documents."""
    rng, rows = np.random.default_rng(2), []
    for i in range(120):
        document, blocks = int(rng.integers(10)), int(rng.integers(1, 3))
        ids = [document * 10 + k for k in range(blocks)] + [10_000 + i]
        size = 512 * blocks + 1 + int(rng.integers(100))
        rows.append(
            {"timestamp": 1000 * i, "input_length": size, "output_length": 4, "hash_ids": ids}
        )
    file = tmp_path / "log.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def plain(tmp_path):
    """Write a log without block ids."""
    file = tmp_path / "plain.csv"
    file.write_text("arrival_s,input_tokens,output_tokens\n0,100,4\n1,100,4\n")
    return file


def answer(tierlab, *args, base=BASE):
    return json.loads(tierlab("plan", *base, *args, "--json").stdout)


def test_sizes_for_a_hit_ratio_and_the_next_doubling(tierlab, trace):
    found = answer(tierlab, "--trace", trace, "--hit-ratio", 0.4, *FEW)
    assert found["hbm"]["hit_ratio"] < 0.4 < found["unlimited"]["hit_ratio"]
    assert [row["tier"] for row in found["sizes"]] == ["dram", "cxl", "ssd"]
    dram = found["sizes"][0]
    assert dram["bytes"] == dram["blocks"] * found["block_bytes"] > found["hbm"]["bytes"]
    assert dram["hit_ratio"] >= 0.4
    after = found["next"]
    assert after["now"]["sizes_bytes"] == {"dram": dram["bytes"]}
    assert after["now"]["hit_ratio"] > after["alone"]["hit_ratio"]
    (twice,) = after["doubled"]
    assert twice["bytes"] == 2 * dram["bytes"]
    assert twice["hit_ratio"] >= after["now"]["hit_ratio"]
    assert found["runs"] == 3


def test_a_smaller_ratio_never_needs_more(tierlab, trace):
    sizes = [
        answer(tierlab, "--trace", trace, "--hit-ratio", r, "--no-doubling", *FEW)["sizes"]
        for r in (0.1, 0.3, 0.5)
    ]
    for rows in zip(*sizes, strict=True):
        assert [row["bytes"] for row in rows] == sorted(row["bytes"] for row in rows)


def test_sizes_for_a_service_level(tierlab, trace):
    base = ("--model", "Llama-3.1-8B", *BASE[2:])
    free = answer(tierlab, "--trace", trace, "--hit-ratio", 0.5, *FEW, base=base)["next"]
    between = (free["alone"]["ttft_mean_s"] + free["now"]["ttft_mean_s"]) / 2
    assert free["now"]["ttft_mean_s"] < 0.9 * between
    asked = ("--slo", f"ttft_mean_s={between}", "--tier", "dram", "--tolerance", 0.2)
    found = answer(tierlab, "--trace", trace, *asked, "--no-doubling", *FEW, base=base)
    (row,) = found["sizes"]
    assert row["value_s"] <= between
    assert row["fails_at_bytes"] < row["bytes"] <= 1.2 * row["fails_at_bytes"]
    assert found["next"] is None


def test_a_closed_loop_is_sized_as_one(tierlab, trace):
    closed = ("--set", "workload.arrivals=closed")
    found = answer(tierlab, "--trace", trace, "--hit-ratio", 0.4, "--tier", "ssd", *closed, *FEW)
    assert found["next"]["now"]["completed"] == 120


def test_the_scenarios_own_tiers_are_doubled(tierlab, trace):
    own = ("--set", "tiers.dram.capacity=200 MB", "--set", "tiers.ssd.capacity=1 GB")
    found = answer(tierlab, "--trace", trace, *own, *FEW)
    assert found["sizes"] == []
    assert found["next"]["now"]["sizes_bytes"] == {"dram": 2e8, "ssd": 1e9}
    assert [row["tier"] for row in found["next"]["doubled"]] == ["dram", "ssd"]


def test_the_tables_say_units_and_verdicts(tierlab, trace):
    text = tierlab("plan", *BASE, "--trace", trace, "--hit-ratio", 0.4, *FEW).stdout
    for word in ("HBM alone", "unlimited", "GiB", "GB", "mirrors HBM", "USD/1M", "worth it"):
        assert word in text
    slow = ("--slo", "ttft_p99_s=9", "--tier", "dram", "--no-doubling")
    text = tierlab("plan", *BASE, "--trace", trace, *slow, *FEW).stdout
    assert "not needed" in text


def test_the_crossover_and_its_page(tierlab, tmp_path):
    args = ("--crossover", "--context", 4096, "--blocks", "16,256", "--plot", tmp_path / "x.html")
    found = json.loads(
        tierlab("plan", "--model", "Llama-3.1-8B", *BASE[2:], *args, "--json").stdout
    )
    assert [row["context"] for row in found["recompute"]] == [512, 1024, 2048, 4096]
    assert len(found["ways"]) == 3 * 3 * 2
    ways = {(w["tier"], w["mechanism"], w["block_tokens"]): w for w in found["ways"]}
    loop, batched = ways["dram", "loop", 16], ways["dram", "batched", 16]
    assert loop["load_bound"] == "issue"
    assert batched["load_bound"] == "bandwidth"
    assert loop["load"][-1]["seconds"] > 5 * batched["load"][-1]["seconds"]
    assert batched["always_from_tokens"] < (loop["always_from_tokens"] or 10**9)
    page = (tmp_path / "x.html").read_text()
    assert "recompute" in page
    assert "dram, loop, 16-token blocks" in page
    text = tierlab("plan", "--model", "Llama-3.1-8B", *BASE[2:], *args[:5]).stdout
    assert "smallest context where loading beats recomputing" in text
    assert "pcie5-x16[host0-gpu0]" in text


WRONG = {
    "no way of asking": ((), "--context: is missing"),
    "two targets": (("--trace", "LOG", "--hit-ratio", 0.1, "--slo", "ttft_p99_s=1"), "one target"),
    "unreachable ratio": (("--trace", "LOG", "--hit-ratio", 0.99), "gives 0."),
    "no share": (("--trace", "LOG", "--hit-ratio", 40), "40 is no share"),
    "not a number": (("--trace", "LOG", "--hit-ratio", "half"), "--hit-ratio"),
    "nan": (("--trace", "LOG", "--hit-ratio", "nan"), "no share"),
    "unknown figure": (("--trace", "LOG", "--slo", "ttf_p99_s=1"), "did you mean ttft_p99_s"),
    "no bound": (("--trace", "LOG", "--slo", "ttft_p99_s=0"), "seconds above 0"),
    "unmet level": (("--trace", "LOG", "--slo", "e2e_p50_s=1e-9", "--tier", "dram"), "at best"),
    "unknown tier": (("--trace", "LOG", "--tier", "drm"), "did you mean dram"),
    "no place for a tier": (("--trace", "LOG", "--tier", "remote"), "tiers.remote.device"),
    "no such log": (("--trace", "absent.jsonl"), "absent.jsonl"),
    "no block ids": (("--trace", "PLAIN"), "no block ids"),
    "a design that keeps nothing": (("--trace", "LOG", "--design", "baseline"), "--design"),
    "context of another": (("--trace", "LOG", "--context", 100), "does not go with --trace"),
    "ratio of another": (("--context", 100, "--hit-ratio", 0.1), "--trace"),
    "zero of another": (("--context", 100, "--hit-ratio", 0), "--trace"),
    "zero": (("--trace", "LOG", "--hit-ratio", 0), "0 is no share"),
    "both": (("--trace", "LOG", "--crossover"), "--crossover: does not go with --trace"),
    "too long": (("--crossover", "--context", 10**6), "--context: 1000000 stored"),
    "no block": (("--crossover", "--blocks", "16,0"), "'0' is no block size"),
    "no page": (("--crossover", "--plot", "x.png"), "x.png is no page"),
    "no folder": (("--crossover", "--plot", "LOG/x.html"), "cannot write"),
    "too many new": (("--crossover", "--new-tokens", 10**6), "--new-tokens"),
}


def fails(capsys, *args):
    """Return the one line of a command that must fail, run in this process."""
    assert run_cli([str(a) for a in args]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.strip().splitlines()
    assert len(lines) == 1, said.err
    assert lines[0].startswith("tierlab: error: ")
    return lines[0]


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_line(capsys, monkeypatch, trace, plain, case):
    monkeypatch.chdir(trace.parent)
    args, told = WRONG[case]
    names = {"LOG": str(trace), "PLAIN": str(plain)}
    filled = [names.get(a, str(a).replace("LOG/", f"{trace}/")) for a in args]
    assert told in fails(capsys, "plan", *BASE, *filled)


def test_a_router_that_needs_time_is_refused(capsys, trace):
    more = ("--set", "engine.replicas=2", "--set", "engine.routing=least_loaded")
    hardware = ("--model", "SmolLM2-135M", "--hardware", "h200-8x-tiered")
    assert "engine.routing" in fails(capsys, "plan", *hardware, "--trace", trace, *more)


def test_tensor_parallel_ranks_share_the_tiers(tierlab, trace):
    base = ("--model", "SmolLM2-135M", "--hardware", "h200-8x-tiered")
    one = answer(tierlab, "--trace", trace, "--hit-ratio", 0.4, "--tier", "dram", *FEW, base=base)
    ranks = ("--set", "engine.tensor_parallel_size=3")
    three = answer(
        tierlab, "--trace", trace, "--hit-ratio", 0.4, "--tier", "dram", *FEW, *ranks, base=base
    )
    for found in (one, three):
        assert found["hbm"]["bytes"] == 80 * 16 * found["block_bytes"] / 512
        assert found["next"]["now"]["hit_ratio"] > 0.9 * 0.4
    assert three["block_bytes"] == one["block_bytes"]
    assert three["sizes"][0]["bytes"] == one["sizes"][0]["bytes"]
    assert three["next"]["now"]["usd_per_h"] == pytest.approx(3 * one["next"]["now"]["usd_per_h"])

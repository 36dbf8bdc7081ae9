import json
import math

import polars as pl
import pytest

KEYS = {
    "requests",
    "completed",
    "rejected",
    "in_flight",
    "preemptions",
    "simulated_s",
    "wall_s",
    "ttft_s",
    "tpot_s",
    "itl_s",
    "e2e_s",
    "queue_s",
    "goodput_requests_per_s",
    "output_tokens_per_s",
    "input_tokens_per_s",
    "tokens",
    "tiers",
    "attention_bytes",
    "links",
    "usd_per_million_output_tokens",
    "joules_per_output_token",
    "sources",
    "copies",
}


def result(tierlab, *args):
    return json.loads(tierlab(*args, "--json").stdout)


def test_run_prints_one_object_with_every_key(tierlab, scenario):
    found = result(tierlab, "run", scenario)
    assert set(found) >= KEYS
    assert found["requests"] == found["completed"] == 40
    for key in ("ttft_s", "tpot_s", "itl_s", "e2e_s", "queue_s"):
        assert set(found[key]) == {"mean", "p50", "p90", "p99"}
        assert found[key]["p50"] <= found[key]["p90"] <= found[key]["p99"]
    tier = {"capacity_bytes", "peak_bytes", "bytes_read", "bytes_written"}
    for name in ("hbm", "dram", "cxl", "ssd"):
        assert set(found["tiers"][name]) >= tier | {"blocks_hit", "blocks_evicted"}
        assert name in found["tokens"]["reused"]
    assert all(
        set(link) == {"bytes", "busy_fraction", "by_cause"} for link in found["links"].values()
    )
    assert sum(found["sources"].values()) == pytest.approx(1.0)
    assert found["goodput_requests_per_s"] is None
    assert set(found["copies"]) == {"measured", "partly", "datasheet", "outside"}
    assert set(found["copies"].values()) == {None}


def test_the_figures_agree_with_the_log_and_with_each_other(tierlab, scenario):
    found = result(tierlab, "run", scenario)
    prompt, output = sum(600 + 13 * i for i in range(40)), sum(20 + i for i in range(40))
    assert found["tokens"]["input"] == found["tokens"]["computed"] == prompt
    assert found["tokens"]["output"] == output
    assert found["output_tokens_per_s"] == pytest.approx(output / found["simulated_s"])
    assert found["input_tokens_per_s"] == pytest.approx(prompt / found["simulated_s"])
    hbm = found["tiers"]["hbm"]
    assert 0 < hbm["peak_bytes"] <= hbm["capacity_bytes"]


def test_replay_is_run_without_a_file(tierlab, scenario, log):
    run = result(tierlab, "run", scenario)
    replay = result(tierlab, "replay", log, "--model", "SmolLM2-135M", "--hardware", "h200")
    assert {**run, "wall_s": 0} == {**replay, "wall_s": 0}


def test_an_slo_gives_goodput(tierlab, scenario):
    found = result(tierlab, "run", scenario, "--set", "slo.ttft_s=1e6", "--set", "slo.tpot_s=1e6")
    assert found["goodput_requests_per_s"] == pytest.approx(40 / found["simulated_s"])


def test_a_context_limit_rejects_with_the_reason(tierlab, scenario):
    found = result(tierlab, "run", scenario, "--set", "engine.max_model_len=700")
    assert found["rejected"] > 0
    assert found["rejected_by_reason"] == {"context": found["rejected"]}
    assert found["completed"] + found["rejected"] == 40


def test_the_band_holds_the_middle(tierlab, scenario):
    found = result(tierlab, "run", scenario, "--bands")
    low, high = found["bands"]["p10"], found["bands"]["p90"]
    assert low["tpot_s"]["mean"] <= found["tpot_s"]["mean"] <= high["tpot_s"]["mean"]
    assert low["tpot_s"]["mean"] < high["tpot_s"]["mean"]


def test_a_price_override_changes_the_cost_in_proportion(tierlab, scenario):
    price = "hardware.prices={'gpu_usd_per_h.h200' = %s, 'amortisation_years' = 1e6}"
    one, two = (result(tierlab, "run", scenario, "--set", price % p) for p in ("1.0", "2.0"))
    ratio = two["usd_per_million_output_tokens"] / one["usd_per_million_output_tokens"]
    assert ratio == pytest.approx(2.0, rel=1e-3)


def test_the_table_shows_what_people_look_for(tierlab, scenario):
    text = tierlab("run", scenario).stdout
    for word in ("TTFT", "TPOT", "p99", "40 completed", "per million output tokens", "datasheet"):
        assert word in text
    assert "\x1b[" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_run_directory_holds_tables_summary_and_manifest(tierlab, scenario, tmp_path):
    shown = result(tierlab, "run", scenario, "-o", "out/run")
    folder = tmp_path / "out" / "run"
    assert sorted(p.name for p in folder.iterdir()) == [
        "links.parquet",
        "manifest.json",
        "requests.parquet",
        "steps.parquet",
        "summary.json",
        "tiers.parquet",
        "timing.json",
    ]
    kept = json.loads((folder / "summary.json").read_text())
    assert kept == {k: v for k, v in shown.items() if k != "wall_s"}
    frame = pl.read_parquet(folder / "requests.parquet")
    ttft = (frame["first_token_s"] - frame["arrival_s"]).mean()
    assert ttft == pytest.approx(shown["ttft_s"]["mean"])
    steps = pl.read_parquet(folder / "steps.parquet")
    assert steps["prefill_tokens"].sum() == shown["tokens"]["computed"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert len(manifest["inputs"]["trace"]) == 64
    assert manifest["scenario"]["model"]["name"] == "SmolLM2-135M"


def test_same_inputs_same_bytes(tierlab, scenario, tmp_path):
    for name in ("a", "b"):
        tierlab("run", scenario, "-o", name, "--set", "seed=3")
    for file in ("requests.parquet", "steps.parquet", "summary.json", "manifest.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_manifest_scenario_runs_again_to_the_same_summary(tierlab, scenario, tmp_path):
    """The resolved scenario of a manifest, fed back as settings, gives the same figures."""
    first = result(tierlab, "run", scenario, "-o", "a")
    resolved = json.loads((tmp_path / "a" / "manifest.json").read_text())["scenario"]
    settings = []
    for section in ("engine", "time", "time.host"):
        table = resolved
        for part in section.split("."):
            table = table[part]
        for key, value in table.items():
            if value is not None and not isinstance(value, dict):
                settings += ["--set", f"{section}.{key}={json.dumps(value)}"]
    again = result(tierlab, "run", scenario, *settings)
    assert {**first, "wall_s": 0} == {**again, "wall_s": 0}


def test_faster_memory_never_makes_decoding_slower(tierlab, scenario):
    """H100 and H200 differ in memory alone; measured, launches of a small model differ too."""
    plain = ("run", scenario, "--set", "time.model=roofline")
    slow = result(tierlab, *plain, "--set", "hardware=H100")
    fast = result(tierlab, *plain, "--set", "hardware=H200")
    assert fast["tpot_s"]["mean"] < slow["tpot_s"]["mean"]
    assert math.isfinite(fast["joules_per_output_token"])

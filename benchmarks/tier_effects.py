"""What users report of offloaded KV, reproduced from stated settings.

python benchmarks/tier_effects.py

Prints a Markdown page. Unless a case says otherwise, runs are Llama-3.1-8B in bf16 on one H200 with
DDR5, CXL and NVMe (`h200-tiered`), whose KV pool is cut to the size that the case names.
"""

from dataclasses import dataclass

import click
import numpy as np
import simpy

from tierlab.hwmodels.catalogue import load_system
from tierlab.simulator.metrics.summary import summarise
from tierlab.simulator.network.network import Network
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.build import build
from tierlab.simulator.serving.run import Run, serve
from tierlab.traces.schema import Trace

GIB = 2**30
TOKEN_BYTES = 131_072
"""KV of a token of Llama-3.1-8B: 32 layers, keys and values, 8 heads of 128, two bytes."""
BLOCK = 16


@dataclass
class Prompt:
    """One request: when, its blocks, and its answer."""

    at_s: float
    ids: list[int]
    output: int = 32
    user: int = -1
    """Whose turn it is; -1: nobody else's."""


def trace(prompts: list[Prompt]) -> Trace:
    n = len(prompts)
    session = np.array([i if p.user < 0 else p.user for i, p in enumerate(prompts)])
    turn = np.array([int((session[:i] == session[i]).sum()) for i in range(n)])
    ids = [np.array(p.ids, np.int64) for p in prompts]
    made = Trace(
        name="effects",
        arrival_s=np.array([p.at_s for p in prompts]),
        input_tokens=np.array([len(p.ids) * BLOCK for p in prompts]),
        output_tokens=np.array([p.output for p in prompts]),
        session=session,
        turn=turn,
        think_s=np.full(n, np.nan),
        parent=np.full(n, -1),
        adapter=np.full(n, -1),
        block_tokens=BLOCK,
        partial_tail=False,
        run_offsets=np.arange(n + 1),
        run_start=np.array([each[0] for each in ids]),
        run_count=np.array([len(each) for each in ids]),
    )
    made.validate("effects")
    return made


def document(number: int, tokens: int) -> list[int]:
    return list(range(number * 100_000, number * 100_000 + tokens // BLOCK))


def run(prompts: list[Prompt], hbm_gib: float, tiers: dict, **engine) -> Run:
    data = {
        "model": "Llama-3.1-8B",
        "hardware": "h200-tiered",
        "design": "vllm",
        "workload": {"generator": "poisson"},
        "engine": {"num_gpu_blocks": int(hbm_gib * GIB / TOKEN_BYTES / BLOCK), **engine},
        "tiers": tiers,
    }
    scenario = validate(data, "effects")
    return serve(scenario, build(scenario), trace(prompts))


def wait_s(found: Run, rows: slice = slice(None)) -> float:
    r = found.requests
    return float((r.first_token_s - r.arrival_s)[rows].mean())


def rounds(documents: int, tokens: int, times: int, gap_s: float) -> list[Prompt]:
    """Ask about each of some documents in turn, several times over."""
    order = [d for _ in range(times) for d in range(documents)]
    return [Prompt(gap_s * i, document(d, tokens)) for i, d in enumerate(order)]


def pieces() -> None:
    network = Network(simpy.Environment(), load_system("h200-tiered"))
    tokens = 32_768
    nbytes = float(tokens * TOKEN_BYTES)
    print("## Why offloading is slow: the size of a copy\n")
    print(f"{tokens:,} tokens ({nbytes / 1e9:.2f} GB) from DRAM to one H200 over PCIe 5.0 x16.\n")
    print("| block | copies | mechanism | KB each | GB/s |\n|---|---|---|---|---|")
    for block in (16, 256):
        for layout, per_block in (("layer first", 64), ("block first", 1)):
            for how in ("loop", "batched", "kernel"):
                n = tokens // block * per_block
                s = network.estimate("host0", "gpu0", nbytes, pieces=n, mechanism=how)
                kib = nbytes / n / 1024
                print(
                    f"| {block}, {layout} | {n:,} | {how} | {kib:,.0f} | {nbytes / s / 1e9:.1f} |"
                )
    print(
        "\nReported: about 5 GB/s with 32 KB copies one by one (vLLM #33398); 4 to 5 times as fast"
        "\nwith 0.5 to 2 MB blocks (vLLM blog, 2026-01-08). Both come out.\n"
    )


def offload(label: str, documents: int, hbm_gib: float) -> None:
    prompts = rounds(documents, 16_384, 4, 1.5)
    plain = run(prompts, hbm_gib, {})
    below = run(prompts, hbm_gib, {"dram": {"capacity": 64.0 * GIB}})
    again = slice(documents, None)
    one, two = wait_s(plain, again), wait_s(below, again)
    print(f"| {label} | {one * 1e3:,.0f} | {two * 1e3:,.0f} | {two / one - 1:+.0%} |")


def concurrent(model: str, kv_tokens: int, longest: int, tokens: int, tiers: dict) -> Run:
    """Let ten users ask six times each about a document of theirs, one question at a time."""
    prompts = [Prompt(0.0, document(d, tokens), 100, d) for _ in range(6) for d in range(10)]
    data = {
        "model": {"name": model, "weights": "fp8"},
        "hardware": "2xRTX-4090",
        "design": "vllm",
        "workload": {"generator": "poisson", "arrivals": "closed", "session_starts": "trace"},
        "engine": {
            "num_gpu_blocks": kv_tokens // BLOCK,
            "max_model_len": longest,
            "tensor_parallel_size": 2,
        },
        "tiers": tiers,
    }
    scenario = validate(data, "effects")
    return serve(scenario, build(scenario), trace(prompts))


def little_hbm() -> None:
    print("## LMCache where a GPU holds little KV, and where it holds more\n")
    print(
        "Two RTX 4090, fp8 weights, ten users at once, each about a document of their own: the\n"
        "report's GPUs, KV tokens, longest contexts and concurrency. For its Qwen2.5-32B stands\n"
        "Qwen3-32B, with the same KV a token. LMCache's defaults: 5 GB of DRAM a GPU, stores that\n"
        "block. The length of the prompts is not reported.\n"
    )
    print("| prompt tokens | model | KV tokens in HBM | vLLM, TTFT s | LMCache | | from DRAM |")
    print("|---|---|---|---|---|---|---|")
    lmcache = {"preset": "lmcache", "dram": {"capacity": "10 GB"}}
    models = ("Qwen3-32B", 18_144, 18_144), ("Qwen3-30B-A3B", 87_584, 32_000)
    for tokens in (6_000, 8_000, 10_000):
        for model, held, longest in models:
            plain = concurrent(model, held, longest, tokens, {})
            below = concurrent(model, held, longest, tokens, lmcache)
            one, two = wait_s(plain), wait_s(below)
            share = below.ledger.reused["dram"] / below.requests.input_tokens.sum()
            change = two / one - 1
            print(
                f"| {tokens:,} | {model} | {held:,} | {one:.2f} | {two:.2f} | {change:+.0%} "
                f"| {share:.0%} |"
            )
    print(
        "\nReported: TTFT +27% for the model of 32B, -70% for the other (LMCache #1241). With"
        "\nprompts of 10,000 tokens both signs come out, and the gain in size: ten documents then"
        "\nexceed HBM and fit DRAM. For 32B they exceed DRAM too (asked in turn, LRU has none of"
        "\nthem), so every prompt is stored in vain. The loss is smaller here: a store moves 1.3 GB"
        "\na GPU at the link's rate. Losing 27% of TTFT to it takes stores at 1 to 2 GB/s.\n"
    )


def larger_and_smaller() -> None:
    print("## KV larger and smaller than HBM\n")
    print("Documents of 16,384 tokens (2 GiB), each asked about four times; 64 GiB of DRAM.\n")
    print("| working set | HBM only, TTFT ms | with DRAM | |\n|---|---|---|---|")
    offload("24 GiB on 12 GiB of HBM", 12, 12.0)
    offload("8 GiB on 12 GiB of HBM", 4, 12.0)
    print(
        "\nWhere the KV fits HBM, DRAM is never asked: stores move by DMA beside compute, and take"
        "\n1% of HBM bandwidth from it.\n"
    )


def mirror() -> None:
    print("## A CPU tier smaller than HBM\n")
    prompts = rounds(12, 16_384, 4, 1.5)
    print("| DRAM | tokens from HBM | from DRAM |\n|---|---|---|")
    for gib in (6.0, 12.0, 24.0, 48.0):
        tokens = run(prompts, 12.0, {"dram": {"capacity": gib * GIB}}).ledger.reused
        print(f"| {gib:.0f} GiB | {tokens['hbm']:,} | {tokens['dram']:,} |")
    print(
        "\nvLLM's documentation: a CPU tier must exceed the GPU's KV or it merely mirrors it. So it"
        "\nis: up to 12 GiB it serves nothing.\n"
    )


def pollution() -> None:
    print("## Prompts that come once\n")
    rng = np.random.default_rng(1)
    prompts, once = [], 1000
    for i in range(160):
        if i % 4 == 0:
            prompts.append(Prompt(1.5 * i, document(int(rng.integers(0, 6)), 16_384)))
        else:
            prompts.append(Prompt(1.5 * i, document(once, 16_384)))
            once += 1
    print("Of 160 prompts every fourth is one of six documents, the others never come again.\n")
    print("| stored | tokens from DRAM | written GB | TTFT of documents, ms |\n|---|---|---|---|")
    for uses, label in ((1, "at the first use"), (2, "at the second")):
        found = run(prompts, 6.0, {"dram": {"capacity": 24.0 * GIB, "store_after_uses": uses}})
        written = summarise(found)["tiers"]["dram"]["bytes_written"]
        waits = wait_s(found, slice(0, None, 4)) * 1e3
        print(f"| {label} | {found.ledger.reused['dram']:,} | {written / 1e9:.0f} | {waits:,.0f} |")
    print("\nvLLM's `store_threshold` and SGLang's `write_through_selective` exist for this.\n")


def prefetches() -> None:
    print("## Prefetch and its timeouts\n")
    print("Eight documents of 32,768 tokens on NVMe, DRAM for two of them; prompts every 1.5 s.\n")
    prompts = rounds(8, 32_768, 3, 1.5)
    tiers = {"dram": {"capacity": 9.0 * GIB}, "ssd": {"capacity": 256.0 * GIB}}
    print("| prefetch | TTFT, ms | from DRAM | from NVMe |\n|---|---|---|---|")
    for policy, more in (
        ("none", {}),
        ("best_effort", {}),
        ("timeout", {"base_s": 0.05, "per_1024_s": 0.001}),
        ("timeout", {"base_s": 2.0, "per_1024_s": 0.1}),
        ("wait_complete", {}),
    ):
        found = run(prompts, 5.0, tiers | {"prefetch": {"policy": policy, **more}})
        label = policy + (f", {more['base_s']} s + {more['per_1024_s']} s/1,024" if more else "")
        tokens, waits = found.ledger.reused, wait_s(found, slice(8, None)) * 1e3
        print(f"| {label} | {waits:,.0f} | {tokens['dram']:,} | {tokens['ssd']:,} |")
    print(
        "\nThe last two timeouts are the defaults of SGLang PR #23309. A short one gives up what it"
        "\nhas begun, and pays for it twice.\n"
    )


def crossover() -> None:
    print("## Loading against computing\n")
    print("One prompt of 20,480 tokens (2.7 GB) again after it left HBM and DRAM.\n")
    print("| from | mechanism | TTFT, ms |\n|---|---|---|")
    prompts = [Prompt(60.0 * i, document(d, 20_480)) for i, d in enumerate((0, 1, 2, 0))]
    none = run(prompts, 3.0, {})
    print(f"| computed again | | {wait_s(none, slice(3, None)) * 1e3:,.0f} |")
    for tier in ("dram", "cxl", "ssd"):
        for how in ("batched", "loop"):
            below = run(prompts, 3.0, {tier: {"capacity": 64.0 * GIB, "mechanism": how}})
            print(f"| {tier} | {how} | {wait_s(below, slice(3, None)) * 1e3:,.0f} |")
    print(
        "\nReported: 40 s from NVMe against 0.9 s of prefill for 20,000 tokens (Dynamo #6101). Not"
        "\nreproduced: a PM1743 at its datasheet's rate needs 0.2 s for 2.7 GB. 40 s is 0.07 GB/s,"
        "\nand the reporter saw the same from tmpfs, so it was not the drive: a defect of that"
        "\nsoftware, which no tier explains. Small copies one by one are what makes a load lose"
        "\nhere.\n"
    )


@click.command()
def main() -> None:
    """Print the page."""
    pieces()
    larger_and_smaller()
    little_hbm()
    mirror()
    pollution()
    prefetches()
    crossover()


if __name__ == "__main__":
    main()

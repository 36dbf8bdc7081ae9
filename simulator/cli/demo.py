"""``tierlab demo``: a built-in question, answered with a plan and a simulation."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any

import click

from tierlab.kernels.base.units import duration, gib
from tierlab.simulator.cli import options

SCENARIO = Path(__file__).parent.parent / "scenario" / "demo.toml"


@click.command(
    epilog="""\b
Examples:
  tierlab demo
  tierlab demo -o out/demo
  tierlab demo --set hardware=B200 --json
""",
)
@options.settings
@options.output
@options.as_json
def demo(settings: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Ask what a 1M-context model under long agentic sessions needs on one H200.

    What fits, how long does it take, what does it cost, and which tier below HBM is worth its
    money?
    """
    from tierlab.simulator.cli.demo_tiers import (
        compare_tiers,
        possible,
        print_tiers,
        summaries,
        worth,
    )
    from tierlab.simulator.cli.plan import print_plan
    from tierlab.simulator.cli.simulate import run_scenario
    from tierlab.simulator.cli.summary_table import print_summary
    from tierlab.simulator.planning import plan
    from tierlab.simulator.results.folder import check_target
    from tierlab.simulator.results.manifest import dump_json
    from tierlab.simulator.results.write import write_run
    from tierlab.simulator.scenario.load import load_scenario
    from tierlab.simulator.scenario.schema import DesignSection

    if output is not None:
        check_target(output)
    scenario = load_scenario(SCENARIO, settings)
    planned = plan(scenario, 1_000_000, None)
    run, summary = run_scenario(scenario, bands=True)
    without = scenario.model_copy(update={"design": DesignSection(preset="baseline")})
    forgets = run_scenario(without, bands=False)[1]
    answer = answer_text(planned, summary, forgets)
    tiers = compare_tiers(scenario) if possible(scenario) else []
    if tiers:
        answer += "\n" + _wrapped(worth(tiers))
    if output is not None:
        extra = {"plan.json": dump_json(planned), "answer.txt": answer}
        extra["tiers.json"] = dump_json(summaries(tiers))
        write_run(run, summary, output, extra)
    if as_json:
        found = {"plan": planned, "run": summary, "tiers": summaries(tiers), "answer": answer}
        click.echo(dump_json(found))
        return
    click.echo(f"{scenario.title}\n")
    print_plan(planned)
    print_summary(run, summary)
    if tiers:
        print_tiers(tiers)
    click.echo(answer)


def answer_text(p: dict[str, Any], s: dict[str, Any], forgets: dict[str, Any]) -> str:
    """Say in words what the plan, the run, and the run without a prefix cache say in figures."""
    paragraphs = (_fits(p), _lasts(p), _served(s), _costs(s), _reuse(s, forgets))
    return "\n".join(map(_wrapped, paragraphs))


def _wrapped(text: str) -> str:
    return fill(text, 96, subsequent_indent="  ", break_on_hyphens=False)


def _fits(p: dict[str, Any]) -> str:
    kv, weights = p["kv"], -p["memory"]["weights_bytes"]
    return (
        f"What fits: beside {gib(weights)} of weights there is room for {gib(kv['capacity_bytes'])}"
        f" of KV, {kv['capacity_tokens']:,} tokens: {p['largest_batch']} requests of"
        f" {p['context']:,} tokens at once."
    )


def _lasts(p: dict[str, Any]) -> str:
    prefill, decode = p["prefill"], p["decode"]
    return (
        f"How long: one prompt of {p['context']:,} tokens alone takes {_band(prefill)} to prefill,"
        f" and a decode step beside such contexts {_band(decode)}."
    )


def _band(phase: dict[str, Any]) -> str:
    low, high = duration(phase["p10_s"]), duration(phase["p90_s"])
    return f"{duration(phase['seconds'])} ({low} to {high})"


def _served(s: dict[str, Any]) -> str:
    ttft, low, high = s["ttft_s"], *(s["bands"][end]["ttft_s"] for end in ("p10", "p90"))
    return (
        f"In service: {s['completed']} of {s['requests']} session turns finished in"
        f" {duration(s['simulated_s'])}; half of them waited over {duration(ttft['p50'])}"
        f" ({duration(low['p50'])} to {duration(high['p50'])}) for a first token, one in ten over"
        f" {duration(ttft['p90'])}."
    )


def _costs(s: dict[str, Any]) -> str:
    key = "usd_per_million_output_tokens"
    low, high = (s["bands"][end][key] for end in ("p10", "p90"))
    if s[key] is None:
        return "What it costs: this GPU has no price; set hardware.prices."
    return (
        f"What it costs: ${s[key]:,.0f} (${low:,.0f} to ${high:,.0f}) per million output tokens,"
        f" ${s['usd_total']:,.2f} for all of it; {s['joules_per_output_token']:,.0f} J per output"
        " token."
    )


def _reuse(s: dict[str, Any], forgets: dict[str, Any]) -> str:
    hit = s["tokens"]["reused"]["hbm"] / s["tokens"]["input"]
    ttft, cost = forgets["ttft_s"], forgets["usd_per_million_output_tokens"]
    price = "" if cost is None else f", and a million output tokens cost ${cost:,.0f}"
    return (
        f"What the prefix cache in HBM does: {hit:.1%} of prompt tokens come from it. Without it"
        f" the median wait is {duration(ttft['p50'])}, one in ten waits over"
        f" {duration(ttft['p90'])}{price}."
    )

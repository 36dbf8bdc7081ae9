"""From a scenario to a page, through the installed command."""

import json


def test_run_twice_and_report(tierlab, tmp_path):
    rows = [
        {"timestamp": 100 * i, "input_length": 600, "output_length": 8, "hash_ids": [0, i + 1]}
        for i in range(20)
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "s.toml").write_text(
        'title = "Is bf16 enough?"\nmodel = "SmolLM2-135M"\nhardware = "H200"\n'
        '[workload]\ntrace = "log.jsonl"\n[slo]\nttft_s = 1.0\n'
    )
    tierlab("run", "s.toml", "-o", "bf16")
    tierlab("run", "s.toml", "--set", "model.weights=fp8", "-o", "fp8")
    done = tierlab("report", "bf16", "fp8", "-o", "page.html")
    assert done.stdout == ""
    assert done.stderr.strip() == "wrote page.html"
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<title>Is bf16 enough?</title>" in text
    assert "The cheapest design that meets the SLO is" in text
    assert len(text) < 300_000

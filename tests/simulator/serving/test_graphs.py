"""Which batches run as graphs, and padded to what, by vLLM's rules."""

import numpy as np
import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.scenario.schema import EngineSection
from tierlab.simulator.serving.graphs import MODES, REGIMES, cuda_graphs


def graphs(**engine):
    return cuda_graphs(EngineSection(**engine))


def regime(made, tokens, decodes_only):
    return REGIMES[int(made.regime(tokens, decodes_only))]


def test_default_sizes_are_vllms():
    """[1, 2, 4] + range(8, 256, 8) + range(256, 513, 16)."""
    expected = (1, 2, 4, *range(8, 256, 8), *range(256, 513, 16))
    assert graphs().sizes == expected
    assert len(expected) == 51


@pytest.mark.parametrize(
    ("engine", "largest"),
    [
        ({"max_num_seqs": 4}, 8),
        ({"max_num_seqs": 3}, 4),
        ({"max_num_seqs": 100}, 200),
        ({"max_num_seqs": 1024}, 512),
        ({"max_num_seqs": 1024, "max_num_batched_tokens": 300}, 288),
        ({"max_cudagraph_capture_size": 64}, 64),
        ({"cudagraph_capture_sizes": [16, 4, 4, 1]}, 16),
    ],
)
def test_the_largest_size(engine, largest):
    assert graphs(**engine).sizes[-1] == largest


def test_given_sizes_are_sorted_without_repeats_and_within_the_budget():
    made = graphs(cudagraph_capture_sizes=[16, 4, 4, 1, 9000], max_num_batched_tokens=512)
    assert made.sizes == (1, 4, 16)


@pytest.mark.parametrize(
    "engine",
    [
        {"cudagraph_capture_sizes": []},
        {"cudagraph_capture_sizes": [0, 4]},
        {"cudagraph_capture_sizes": [4096], "max_num_batched_tokens": 512},
        {"cudagraph_capture_sizes": [4, 8], "max_cudagraph_capture_size": 16},
    ],
)
def test_bad_sizes_are_refused(engine):
    with pytest.raises(BadInput, match=r"engine\.cudagraph_capture_sizes"):
        graphs(**engine)


def test_padding_goes_to_the_next_size():
    counts = [0, 1, 3, 8, 9, 250, 256, 257, 512, 513, 4000]
    expected = [0, 1, 4, 8, 16, 256, 256, 272, 512, 513, 4000]
    assert graphs().padded(counts, decodes_only=True).tolist() == expected
    assert graphs().padded(counts, decodes_only=False).tolist() == expected


@pytest.mark.parametrize(
    ("mode", "alone", "mixed"),
    [
        ("full_and_piecewise", "full", "piecewise"),
        ("full", "full", "full"),
        ("full_decode_only", "full", "eager"),
        ("piecewise", "piecewise", "piecewise"),
        ("none", "eager", "eager"),
    ],
)
def test_a_mode_says_what_is_recorded(mode, alone, mixed):
    made = graphs(cudagraph_mode=mode)
    assert (regime(made, 9, True), regime(made, 9, False)) == (alone, mixed)
    assert made.padded(9, True) == (9 if alone == "eager" else 16)
    assert made.padded(9, False) == (9 if mixed == "eager" else 16)
    assert regime(made, 513, True) == regime(made, 513, False) == "eager"


def test_every_mode_of_the_schema_has_its_regimes():
    for mode in MODES:
        spelled = {"cudagraph_mode": mode.upper()}
        data = {"model": "SmolLM2-135M", "hardware": "H100", "engine": spelled}
        data["workload"] = {"generator": "poisson"}
        assert validate(data, "test").engine.cudagraph_mode == mode


def test_padding_never_shrinks_and_keeps_order():
    counts = np.arange(2000)
    padded = graphs().padded(counts, True)
    assert (padded >= counts).all()
    assert (np.diff(padded) >= 0).all()

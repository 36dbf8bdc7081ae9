from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.kv import KvGroup, kv_bytes, kv_groups
from tierlab.kernels.models.load import load_model
from tierlab.policies.design import Design, load_preset, make_design
from tierlab.policies.protocol import Declares
from tierlab.policies.representation.bf16 import Bf16
from tierlab.policies.retention.full import Full
from tierlab.policies.retention.h2o import H2O
from tierlab.policies.reuse.nothing import Nothing
from tierlab.policies.selection.topk_blocks import TopkBlocks


@dataclass(frozen=True)
class ByQuery(Full):
    name: ClassVar[str] = "by-query"
    declares: ClassVar[Declares] = Declares(reusable=False)


@dataclass(frozen=True)
class Shared(Nothing):
    name: ClassVar[str] = "shared"
    declares: ClassVar[Declares] = Declares(shares=True)


@dataclass(frozen=True)
class Ragged(Full):
    name: ClassVar[str] = "ragged"
    declares: ClassVar[Declares] = Declares(per_head=True)


@dataclass(frozen=True)
class Scored(Full):
    name: ClassVar[str] = "scored"
    declares: ClassVar[Declares] = Declares(needs_scores=True)


@dataclass(frozen=True)
class Paying(Full):
    name: ClassVar[str] = "paying"
    declares: ClassVar[Declares] = Declares(needs_scores=True, extra_pass=True)


@dataclass(frozen=True)
class Dropping(Full):
    name: ClassVar[str] = "dropping"
    declares: ClassVar[Declares] = Declares(drops_at=("step",))


@dataclass(frozen=True)
class Grouped(Bf16):
    name: ClassVar[str] = "grouped"
    declares: ClassVar[Declares] = Declares(grouped_tokens=True)


def composed(**changes):
    policies = dict(make_design("base", {}, "test").policies)
    return Design("test", {**policies, **changes})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"retention": ByQuery(), "reuse": Shared()}, "depends on the query"),
        ({"retention": Ragged()}, "equal length"),
        ({"retention": Scored()}, "fused attention"),
        ({"retention": Dropping(), "representation": Grouped()}, "one group"),
    ],
)
def test_a_composition_that_cannot_work_is_refused_with_the_reason(changes, reason):
    with pytest.raises(BadInput, match=reason):
        composed(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"retention": ByQuery()},
        {"reuse": Shared()},
        {"retention": Paying()},
        {"retention": Dropping()},
        {"representation": Grouped()},
    ],
)
def test_each_half_of_an_impossible_pair_works_alone(changes):
    assert composed(**changes)


@pytest.mark.parametrize("name", ["Llama-3.1-8B", "DeepSeek-V3", "gpt-oss-120b", "OPT-13B"])
def test_the_baseline_stores_what_the_model_writes(name):
    model = load_model(name)
    tokens = np.array([1, 100, 127, 128, 129, 5000])
    stored = make_design("base", {}, "test").footprint(kv_groups(model), tokens)
    expected = [kv_bytes(model, int(t)) for t in tokens]
    assert stored.stored_bytes["hbm"].tolist() == expected


def test_windowed_layers_keep_and_read_only_their_window():
    groups = (KvGroup(1, 8, 4, 4, 16, "gqa"),)
    found = make_design("base", {}, "test").footprint(groups, np.array([4, 16, 400]))
    assert found.kept_tokens.tolist() == [[4, 16, 16]]
    assert found.read_bytes.tolist() == [64.0, 256.0, 256.0]


def test_bf16_rounds_to_nearest_even():
    parts = Bf16().decide(np.array([[[1.0, 1.0 + 2**-8, 1.0 + 3 * 2**-8, -2.5]]], np.float32))
    assert Bf16().restore(parts).ravel().tolist() == [1.0, 1.0, 1.0 + 2**-6, -2.5]


def test_an_unknown_policy_names_near_misses():
    with pytest.raises(BadInput, match="did you mean full"):
        make_design("x", {"retention": "ful"}, "design")


def test_an_unknown_parameter_is_refused():
    with pytest.raises(BadInput, match="unknown parameter 'sinks'"):
        make_design("x", {"retention": {"name": "full", "sinks": 4}}, "design")


def test_a_policy_of_another_axis_is_refused(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from tierlab.policies.reuse.nothing import Nothing\nPOLICY = Nothing\n")
    with pytest.raises(BadInput, match="of the axis 'reuse'"):
        make_design("x", {"retention": str(file)}, "design")


def test_a_policy_file_that_fails_names_its_line(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("import math\nPOLICY = math.nothing\n")
    with pytest.raises(BadInput, match=r"mine\.py:2"):
        make_design("x", {"retention": str(file)}, "design")


def test_a_policy_class_without_the_methods_is_refused(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("class POLICY: axis = 'retention'\n")
    with pytest.raises(BadInput, match="lacks"):
        make_design("x", {"retention": str(file)}, "design")


def test_a_preset_of_ones_own(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('retention = "full"\n')
    assert load_preset(str(file), "test") == ("mine", {"retention": "full"})


def test_a_preset_with_a_wrong_key_is_refused(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('retension = "full"\n')
    with pytest.raises(BadInput, match="did you mean retention"):
        load_preset(str(file), "test")


@pytest.mark.parametrize(
    ("axes", "reason"),
    [
        ({"retention": "snapkv", "reuse": "lru"}, "retention 'snapkv' leaves KV that depends"),
        ({"retention": "h2o", "reuse": "arc"}, "retention 'h2o' leaves KV that depends"),
        ({"retention": "sink-window", "reuse": "lru"}, "only a part of the prefix"),
        ({"retention": "h2o", "representation": "kivi-2"}, "formed anew"),
        ({"retention": "snapkv", "representation": "kivi-4"}, "formed anew"),
        ({"retention": "sink-window", "representation": "kivi-4"}, "formed anew"),
        ({"retention": "sink-window", "selection": "topk-blocks"}, "selection 'topk-blocks' keeps"),
    ],
)
def test_shipped_policies_that_cannot_stand_together(axes, reason):
    with pytest.raises(BadInput, match=reason):
        make_design("x", axes, "test")


@pytest.mark.parametrize(
    "axes",
    [
        {"representation": "kivi-2", "reuse": "lru"},
        {"representation": "fp8", "retention": "h2o"},
        {"representation": "kivi-4", "selection": "topk-blocks", "placement": "host"},
        {"selection": "topk-blocks", "reuse": "lru"},
        {"retention": "snapkv", "placement": "ssd"},
    ],
)
def test_shipped_policies_that_can(axes):
    assert make_design("x", axes, "test")


def test_h2o_without_its_pass_cannot_run_beside_fused_attention():
    @dataclass(frozen=True)
    class Unpaid(H2O):
        declares: ClassVar[Declares] = replace(H2O.declares, extra_pass=False)

    with pytest.raises(BadInput, match="'h2o' needs attention scores, which fused attention"):
        composed(retention=Unpaid())


def test_scores_need_a_selection_that_reads_all():
    @dataclass(frozen=True)
    class Loose(TopkBlocks):
        declares: ClassVar[Declares] = replace(TopkBlocks.declares, grouped_tokens=False)

    with pytest.raises(BadInput, match="the others get none"):
        composed(retention=H2O(), selection=Loose())


@dataclass(frozen=True)
class Masking(H2O):
    """Takes what H2O drops out of the softmax, and leaves it stored."""

    def footprint(self, shape):
        return shape.tokens


def test_masking_saves_nothing():
    groups, tokens = kv_groups(load_model("Llama-3.1-8B")), np.array([5000])
    masked = composed(retention=Masking()).footprint(groups, tokens)
    dropped = composed(retention=H2O()).footprint(groups, tokens)
    whole = composed().footprint(groups, tokens)
    assert (
        masked.stored_bytes["hbm"] == whole.stored_bytes["hbm"] == 5 * dropped.stored_bytes["hbm"]
    )
    assert masked.read_bytes == whole.read_bytes
    assert dropped.unpruned_bytes == whole.stored_bytes["hbm"]

from tierlab.kernels.measure.agree import agreement


def row(name: str, seconds: float, p10: float, p90: float) -> dict:
    return {
        "op": name,
        "bytes": 8,
        "seconds": seconds,
        "seconds_p10": p10,
        "seconds_p90": p90,
        "samples": 9,
        "rounds": 3,
    }


def test_rows_agree_where_their_spreads_meet() -> None:
    first = [
        row("a", 1.0, 0.9, 1.1),
        row("b", 1.0, 0.9, 1.1),
        row("c", 1.0, 0.9, 1.1),
        row("d", 1, 1, 1),
    ]
    second = [row("c", 2.0, 1.5, 2.5), row("a", 1.05, 1.0, 1.2), row("b", 1.2, 1.05, 1.3)]
    found = agreement(first, second)
    assert [r["op"] for r in found.rows] == ["a", "b", "c"]
    assert found.ratio.tolist() == [1.05, 1.2, 2.0]
    assert found.overlap.tolist() == [True, True, False]
    assert found.inside.tolist() == [True, False, False]
    assert [(r["op"], ratio) for r, ratio in found.worst(1)] == [("c", 2.0)]


def test_runs_of_other_things_have_nothing_in_common() -> None:
    assert agreement([row("a", 1, 1, 1)], [row("b", 1, 1, 1)]).rows == []

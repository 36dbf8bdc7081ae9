"""Which requests of a log a scenario takes, and that a log is read once where points share it."""

import pytest

from tierlab.simulator import workload
from tierlab.simulator.scenario.schema import WorkloadSection

LOG = """arrival_s,input_tokens,output_tokens,session
0,100,10,b
1,200,10,a
2,300,10,b
3,400,10,c
4,500,10,a
"""


@pytest.fixture
def log(tmp_path):
    file = tmp_path / "log.csv"
    file.write_text(LOG)
    return file


@pytest.mark.parametrize(
    ("keys", "tokens"),
    [
        ({}, [100, 200, 300, 400, 500]),
        ({"limit": 2}, [100, 200]),
        ({"sessions": 1}, [100, 300]),
        ({"sessions": 2}, [100, 200, 300, 500]),
        ({"sessions": 9}, [100, 200, 300, 400, 500]),
        ({"sessions": 2, "limit": 3}, [100, 200, 300]),
    ],
)
def test_the_first_requests_and_sessions(log, keys, tokens):
    trace = workload.load_workload(WorkloadSection(trace=str(log), **keys), 0)
    assert trace.input_tokens.tolist() == tokens


def test_a_kept_log_is_read_again_only_when_it_changed(log, monkeypatch):
    reads = []
    read_log = workload.read_log
    monkeypatch.setattr(workload, "read_log", lambda *a, **k: reads.append(1) or read_log(*a, **k))
    monkeypatch.setattr(workload, "_keeps", [False])
    monkeypatch.setattr(workload, "_KEPT", {})
    section = WorkloadSection(trace=str(log))
    workload.load_workload(section, 0)
    workload.load_workload(section, 0)
    assert len(reads) == 2
    workload.keep_logs()
    first = workload.load_workload(section, 0)
    again = workload.load_workload(section.model_copy(update={"arrival_scale": 2.0}), 0)
    assert len(reads) == 3
    assert again.arrival_s.tolist() == (2 * first.arrival_s).tolist()
    log.write_text(LOG + "5,600,10,d\n")
    assert len(workload.load_workload(section, 0)) == 6
    assert len(reads) == 4
    workload.load_workload(section, 1)
    assert len(reads) == 5

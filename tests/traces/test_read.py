"""Opening, detecting and refusing, whatever the format."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.read import read_trace

OWN = """
import numpy as np
from tierlab.traces.readers.protocol import Chunk, Reader

class Words(Reader):
    name, summary, extensions = "words", "input and output, a line a request, 1 s apart", (".txt",)

    def read(self, log, options):
        rows = [(number, *map(int, line.split())) for number, line in log.lines()]
        line, given, made = np.array(rows, np.int64).T
        yield Chunk(line=line, arrival_s=line - 1.0, input_tokens=given, output_tokens=made)

READER = Words()
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "words.py").write_text(OWN)
    return str(tmp_path / "words.py")


def rows(n: int) -> list[dict[str, object]]:
    return [{"timestamp": 3000 * i, "hash_ids": [2 * i, 2 * i + 1]} for i in range(n)]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_compressed_logs_are_known_by_content(mooncake, tmp_path, pack, trace_differences):
    plain = mooncake(*rows(500), name="log.jsonl")
    packed = tmp_path / "elsewhere" / "log.jsonl"
    packed.parent.mkdir()
    packed.write_bytes(pack(Path(plain).read_bytes()))
    assert trace_differences(read_trace(plain), read_trace(str(packed))) == []


def test_zstd_in_several_frames(mooncake, tmp_path):
    text = Path(mooncake(*rows(40))).read_bytes()
    frames = zstandard.compress(text[:777]) + zstandard.compress(text[777:])
    (tmp_path / "log.zst").write_bytes(frames)
    assert len(read_trace(str(tmp_path / "log.zst"))) == 40


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_truncated_compressed_log(mooncake, tmp_path, pack, kept):
    whole = pack(Path(mooncake(*rows(3000))).read_bytes())
    (tmp_path / "cut").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(BadInput, match=r"cut: compressed data are damaged or cut short"):
        read_trace(str(tmp_path / "cut"), format="mooncake")


def test_a_damaged_compressed_log(mooncake, tmp_path):
    whole = bytearray(gzip.compress(Path(mooncake(*rows(3000))).read_bytes()))
    whole[len(whole) // 2] ^= 0xFF
    (tmp_path / "bad").write_bytes(whole)
    with pytest.raises(BadInput, match=r"compressed data are damaged"):
        read_trace(str(tmp_path / "bad"), format="mooncake")


def test_missing_folder_empty(tmp_path):
    with pytest.raises(BadInput, match=r"^TRACE: no such file"):
        read_trace(str(tmp_path / "absent"))
    with pytest.raises(BadInput, match=r"^TRACE: .* is a folder"):
        read_trace(str(tmp_path))
    (tmp_path / "empty").touch()
    with pytest.raises(BadInput, match=r"empty file"):
        read_trace(str(tmp_path / "empty"))


def test_blank_lines_alone_are_no_requests(tmp_path):
    (tmp_path / "blank").write_text("\n\n  \n")
    with pytest.raises(BadInput, match=r"no requests"):
        read_trace(str(tmp_path / "blank"), format="mooncake")


def test_an_unknown_log_lists_the_formats(tmp_path):
    (tmp_path / "poem.txt").write_bytes(b"\x00\x01\x02 no log at all")
    told = r"no known trace format: it begins with b'.x00.*tierlab, .*mooncake, .*generic"
    with pytest.raises(BadInput, match=told):
        read_trace(str(tmp_path / "poem.txt"))
    (tmp_path / "two.csv").write_text("TIMESTAMP,ContextTokens\n2023-11-16 18:17:03,5\n")
    with pytest.raises(BadInput, match=r"two.csv: .* begins 'TIMESTAMP,ContextTokens'"):
        read_trace(str(tmp_path / "two.csv"))


def test_an_unknown_format_suggests(mooncake):
    with pytest.raises(BadInput, match=r"--format: unknown trace format 'moncake'.*mooncake"):
        read_trace(mooncake({}), format="moncake")


def test_a_column_map_needs_a_reader_that_takes_one(mooncake):
    with pytest.raises(BadInput, match=r"mooncake takes no column map"):
        read_trace(mooncake({}), format="mooncake", columns={"arrival_s": "timestamp"})


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_a_seed_that_is_none(mooncake, seed):
    with pytest.raises(BadInput, match=r"--seed"):
        read_trace(mooncake({}), seed=seed)


def test_progress_ends_at_the_whole_file(mooncake):
    path = mooncake(*rows(20))
    told: list[tuple[int, int]] = []
    read_trace(path, progress=lambda done, total: told.append((done, total)))
    size = Path(path).stat().st_size
    assert told[-1] == (size, size)


def test_ones_own_reader(own, tmp_path):
    (tmp_path / "log.txt").write_text("100 5\n200 6\n")
    trace = read_trace(str(tmp_path / "log.txt"), format=own)
    assert trace.input_tokens.tolist() == [100, 200]
    assert trace.arrival_s.tolist() == [0.0, 1.0]


def test_the_drivers_checks_hold_for_ones_own_reader(own, tmp_path):
    (tmp_path / "log.txt").write_text("100 5\n0 6\n")
    with pytest.raises(BadInput, match=r"log.txt:2: input_tokens = 0"):
        read_trace(str(tmp_path / "log.txt"), format=own)


def test_ones_own_reader_that_fails_is_told_by_file_and_line(own, tmp_path):
    (tmp_path / "log.txt").write_text("100 five\n")
    with pytest.raises(BadInput, match=r"words.py:9: ValueError: invalid literal"):
        read_trace(str(tmp_path / "log.txt"), format=own)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\nimport no_such_module\n", "own.py:2: ModuleNotFoundError"),
        ("x = 1\n\ndef broken(:\n", "own.py:3: SyntaxError"),
        ("x = 1\n", "READER is not defined"),
        ("READER = 5\n", "READER lacks detect"),
        ("from tierlab.traces.readers.mooncake import Mooncake as READER\n", "is a class"),
    ],
)
def test_a_file_that_is_no_reader(mooncake, tmp_path, text, expected):
    (tmp_path / "own.py").write_text(text)
    with pytest.raises(BadInput, match=expected):
        read_trace(mooncake({}), format=str(tmp_path / "own.py"))


def test_ones_own_reader_that_is_absent(mooncake):
    with pytest.raises(BadInput, match=r"--format: no such file: absent.py"):
        read_trace(mooncake({}), format="absent.py")


def test_reading_json_lines_imports_nothing_heavy(mooncake):
    code = (
        "import sys; from tierlab.traces.read import read_trace; read_trace(sys.argv[1]);"
        "print(sorted({'polars', 'scipy', 'numba', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, mooncake({})], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

"""The result of ``vllm bench serve --save-result --save-detailed``.

Fields: ``vllm/benchmarks/serve.py`` in github.com/vllm-project/vllm (Apache-2.0).

One JSON object with a list each of ``input_lens``, ``output_lens``, ``start_times`` (s, of a
monotonic clock), ``errors``, ``ttfts`` and ``itls``. The lists are told by request, not by time:
rows are sorted by start. A request with an error, or no output, failed: it is excluded and
counted. ``ttfts`` and ``itls`` are answers, not requests: they are checked for length and left.
The document is read whole. Clocks of several results are not comparable: one a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.log import Log
from tierlab.traces.readers import documents
from tierlab.traces.readers.clock import Clock
from tierlab.traces.readers.fields import Fields
from tierlab.traces.readers.protocol import Chunk, Options, Reader
from tierlab.traces.readers.rows import Row, gathered, parsed

_LISTS = ("input_lens", "output_lens", "start_times")
_MORE = ("errors", "ttfts", "itls", "generated_texts")
_FIELDS = dict(zip(("input_tokens", "output_tokens", "arrival_s"), _LISTS, strict=True))
FAILED = "an error or no output: the request failed"


class VLLMBench(Reader):
    """Reader of a detailed result of vLLM's benchmark."""

    name = "vllm-bench"
    summary = "vllm bench serve --save-detailed: input_lens, output_lens, start_times"
    extensions = (".json",)

    def detect(self, head: bytes, path: Path) -> bool:
        """Look for the first list of the result."""
        return head.lstrip().startswith(b"{") and b'"input_lens"' in head

    def read(self, log: Log, options: Options) -> Iterator[Chunk]:
        """Yield chunks without block ids; the whole document is in memory."""
        rows = parsed(log, _requests(log), lambda _, one: _row(one))
        yield from gathered(log, rows, Clock("s"), _FIELDS)


def _requests(log: Log) -> Iterator[tuple[int, Fields]]:
    found = 0
    for line, result in documents.objects(log):
        whole = Fields(log, line, result)
        try:
            requests = _lists(whole, found)
        except BadInput as error:
            log.tally.skip(error)
            continue
        found += 1
        for number in range(len(requests["input_lens"])):
            one = {name: cells[number] for name, cells in requests.items()}
            yield line, Fields(log, line, one, f"request {number}: ")


def _lists(whole: Fields, found: int) -> dict[str, list[Any]]:
    if found:
        accepted = "one result a file: their clocks are not comparable"
        raise BadInput(whole.log.place(whole.line), "a second result", accepted)
    if "start_times" not in whole.row:
        accepted = "a result with start_times: --save-detailed of a vLLM that writes them"
        raise whole.fault("start_times", accepted)
    lists = {name: whole.items(name) for name in _LISTS}
    lists |= {name: whole.items(name) for name in _MORE if whole.has(name)}
    size = len(lists["input_lens"])
    for name, cells in lists.items():
        if len(cells) != size:
            what = f"{name} has {len(cells)} values"
            raise BadInput(whole.log.place(whole.line), what, f"{size}, as input_lens has")
    return lists


def _row(one: Fields) -> Row | None:
    if one.row.get("errors") or one.row["output_lens"] == 0:
        one.log.tally.exclude(FAILED)
        return None
    tokens, output = one.integer("input_lens", 1), one.integer("output_lens", 0)
    return Row(one.line, one.number("start_times"), tokens, output)


READER = VLLMBench()

"""The readers, in the order in which they are asked whether a log is theirs."""

from __future__ import annotations

import importlib
from typing import cast

from tierlab.traces.readers.protocol import Reader

READERS = {
    "tierlab": "tierlab.traces.readers.tierlab:READER",
    "kv-cache-tester": "tierlab.traces.readers.cache_tester:READER",
    "lmcache-agent": "tierlab.traces.readers.agentic:READER",
    "dynamo": "tierlab.traces.readers.dynamo:READER",
    "otel": "tierlab.traces.readers.otel:READER",
    "sglang": "tierlab.traces.readers.sglang:READER",
    "litellm": "tierlab.traces.readers.litellm:READER",
    "vllm-bench": "tierlab.traces.readers.vllm_bench:READER",
    "bailian": "tierlab.traces.readers.bailian:READER",
    "aiperf": "tierlab.traces.readers.aiperf:READER",
    "mooncake": "tierlab.traces.readers.mooncake:READER",
    "azure": "tierlab.traces.readers.azure:READER",
    "burstgpt": "tierlab.traces.readers.burstgpt:READER",
    "generic": "tierlab.traces.readers.generic:READER",
}
"""Name -> module:attribute; imported when asked for. `generic` comes last: it takes the most."""


def load(name: str) -> Reader:
    """Return a reader by its registered name."""
    module, attribute = READERS[name].split(":")
    return cast(Reader, getattr(importlib.import_module(module), attribute))

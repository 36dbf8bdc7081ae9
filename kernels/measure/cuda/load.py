"""A GPU kept busy with matrix products while something else is measured."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIDE = 8192
"""One product takes about 2 ms on an H100; two are queued at any time."""


@contextmanager
def gemm_running(number: int) -> Iterator[None]:
    """Run products on a stream of their own until the block ends."""
    import cupy

    stop, failed = threading.Event(), list[Exception]()
    started = threading.Event()

    def work() -> None:
        try:
            with cupy.cuda.Device(number), cupy.cuda.Stream(non_blocking=True) as stream:
                a = cupy.full((SIDE, SIDE), 0.01, cupy.float16)
                out = cupy.empty_like(a)
                open_events: list[object] = []
                while not stop.is_set():
                    cupy.matmul(a, a, out=out)
                    event = stream.record()
                    started.set()
                    open_events.append(event)
                    if len(open_events) > 1:
                        open_events.pop(0).synchronize()  # type: ignore[attr-defined]
                stream.synchronize()
        except Exception as error:  # told by the thread that waits
            failed.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failed:
        raise failed[0]

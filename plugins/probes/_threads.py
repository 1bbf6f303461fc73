"""Blocking calls that may hang, each on its own daemon thread.

A hanging call does not block other calls, as it would in a thread pool. Because its thread is a
daemon, it does not prevent tocsin from exiting.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


def in_thread(function: Callable[[], T], name: str) -> Future[T]:
    """Run a blocking function on its own thread, named ``tocsin NAME``.

    The number of threads is not limited: the caller must limit how many hanging calls it starts.
    """
    outcome: Future[T] = Future()

    def work() -> None:
        outcome.set_running_or_notify_cancel()
        try:
            outcome.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised where the outcome is waited for
            outcome.set_exception(error)

    threading.Thread(target=work, name=f"tocsin {name}", daemon=True).start()
    return outcome


class SharedCalls:
    """Blocking calls that may hang, at most one at a time for each object.

    Concurrent callers for the same object share one call and its result. After a call timed out,
    further callers get TimeoutError at once until it returns.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, Future[Any]] = {}
        self._given_up: set[Hashable] = set()

    async def look(self, name: str, what: Hashable, function: Callable[[], T], seconds: float) -> T:
        """Return the result of ``function``, run on a thread, or of the call under way.

        Args:
            name: the kind of object; also part of the thread's name.
            what: identifies the object among those of its kind.
            function: the blocking call that examines the object.
            seconds: the longest time to wait.

        Raises:
            TimeoutError: the call did not return within ``seconds``, or an earlier call that
                timed out still hangs.
            Exception: whatever ``function`` raises.
        """
        key = (name, what)
        call: Future[T] | None = self._under_way.get(key)
        if call is None or call.done():
            call = self._under_way[key] = in_thread(function, name)
            self._given_up.discard(key)
        elif key in self._given_up:
            raise TimeoutError
        future = asyncio.wrap_future(call)
        await asyncio.wait({future}, timeout=seconds)
        if not future.done():
            self._given_up.add(key)
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise TimeoutError
        if self._under_way.get(key) is call:
            del self._under_way[key]
        return future.result()


LOOKS = SharedCalls()
"""The instance shared by the process: a hanging thread outlives its check, a reload and the app."""

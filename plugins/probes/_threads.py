"""Blocking work that may never come back, on threads that nobody shares.

A call that hangs takes no place from others, as it would in a pool, and, its thread being a daemon,
does not keep tocsin from ending.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


def in_thread(function: Callable[[], T], name: str) -> Future[T]:
    """Run a blocking function on a thread of its own, called ``tocsin`` and ``name``. Whoever calls
    sees to it that those that hang do not become many."""
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
    """Blocking looks at things that may hang: at each thing, one at a time. Whoever asks meanwhile
    gets the same answer; one that was given up is not joined by another until it comes back."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, Future[Any]] = {}
        self._given_up: set[Hashable] = set()

    async def look(self, name: str, what: Hashable, function: Callable[[], T], seconds: float) -> T:
        """What ``function`` gives.

        Args:
            name: the kind of thing, and of the thread's name.
            what: the thing, among those of its kind.
            function: looks at it.
            seconds: for how long to wait.

        Raises:
            TimeoutError: it gives nothing within ``seconds``, or an earlier look still hangs.
                Otherwise what the function raises.
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
"""One for the process: a thread that hangs outlives its check, a reload, and the app."""

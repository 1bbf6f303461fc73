"""One end of the connection between the core and a plugin host: calls, answers, cancellation."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

import msgspec
from attrs import frozen

from tocsin.core.hosts.wire import Frame, Kind, Method, encode, error_of, refusal_of
from tocsin.core.plugin.faults import PluginFault, describe

A = TypeVar("A", bound=tuple[Any, ...])
R = TypeVar("R")


@frozen
class Served:
    """What an end does when a method is called.

    Attributes:
        method: the method.
        call: takes its arguments; a coroutine function for calls, a plain function for notes.
    """

    method: Method[Any, Any]
    call: Callable[..., Any]


def served(*pairs: tuple[Method[Any, Any], Callable[..., Any]]) -> dict[str, Served]:
    """Return what an end serves, by the names of the methods."""
    return {method.name: Served(method, call) for method, call in pairs}


OWNER: ContextVar[int] = ContextVar("OWNER", default=0)
"""The call of the other end that is being served; 0 for none, and for those that last."""

LASTING = ("open", "run_source", "run_service", "listen")
"""Methods whose tasks may outlive them, or that have many of their own."""


class Peer(ABC):
    """One end. Belongs to the event loop in which it is used.

    Attributes:
        served: what this end does when the other calls it, by method.
        cancelled: ids of calls that were cancelled here and have not ended there, with the time of
            the loop at which they were.
        serving: tasks of the calls that are served here, by the other's id.
        why_closed: why the connection ended; None while it stands.
        reveals: whether secrets are sent; else asterisks are sent in their place.
    """

    def __init__(self, served: Mapping[str, Served], *, reveals: bool) -> None:
        self.served, self.reveals = served, reveals
        self.loop = asyncio.get_running_loop()
        self.cancelled: dict[int, float] = {}
        self.serving: dict[int, asyncio.Task[None]] = {}
        self.why_closed: PluginFault | None = None
        self._pending: dict[int, tuple[asyncio.Future[Any], Method[Any, Any]]] = {}
        self._last = 0

    @abstractmethod
    def send(self, frame: bytes) -> None:
        """Send a frame, in order."""

    @property
    def is_busy(self) -> bool:
        """Return whether a call of this end has not ended yet."""
        return bool(self._pending or self.cancelled)

    async def ask(self, method: Method[A, R], arguments: A) -> R:
        """Call a method at the other end and return its answer. If this is cancelled, so is the
        call.

        Raises:
            PluginFault: the other end failed, is gone, or the arguments cannot be sent.
            ActionError, NotifyError, ServiceError, TimeoutError, ValueError, OSError: the method
                raised it.
        """
        if self.why_closed is not None:
            raise self.why_closed
        self._last = number = self._last + 1
        frame = encode(Kind.CALL, number, method.name, arguments, self.reveals or method.reveals)
        future: asyncio.Future[R] = self.loop.create_future()
        self._pending[number] = (future, method)
        self.send(frame)
        try:
            return await future
        except asyncio.CancelledError:
            if self._pending.pop(number, None) is not None and self.why_closed is None:
                self.cancelled[number] = self.loop.time()
                self.send(encode(Kind.CANCEL, number))
            raise

    def note(self, method: Method[A, Any], arguments: A) -> None:
        """Call a method at the other end that has no answer; nothing happens if it is gone."""
        if self.why_closed is None:
            self.send(encode(Kind.NOTE, 0, method.name, arguments, self.reveals))

    def received(self, frame: Frame) -> None:
        """Process a frame of the other end.

        Raises:
            ValueError: it does not belong here.
        """
        if frame.kind in (Kind.ANSWER, Kind.REFUSAL):
            self._ended(frame)
        elif frame.kind is Kind.CANCEL:
            if task := self.serving.get(frame.id):
                self.loop.call_soon(task.cancel)  # not before it has begun, so that it answers
        elif (served := self.served.get(frame.method)) is None:
            raise ValueError(f"the method {frame.method!r} is unknown here")
        elif frame.kind is Kind.NOTE:
            arguments = self._arguments(served, frame)
            try:
                served.call(*arguments)
            except Exception as error:
                raise ValueError(f"{frame.method} failed: {describe(error)}") from error
        else:
            try:
                arguments = self._arguments(served, frame)
            except ValueError as error:  # a plugin has passed something else than its contract says
                self.send(encode(Kind.REFUSAL, frame.id, "", refusal_of(error)))
                return
            owner = 0 if frame.method in LASTING else frame.id
            task = self.loop.create_task(self._serve(frame.id, owner, served, arguments))
            self.serving[frame.id] = task

    def close(self, why: PluginFault) -> None:
        """End this end: calls of it fail with ``why``, and those that are served are cancelled."""
        if self.why_closed is not None:
            return
        self.why_closed = why
        pending, self._pending = self._pending, {}
        self.cancelled.clear()
        for future, _ in pending.values():
            if not future.done():
                future.set_exception(why)
                future.exception()  # one that nobody awaits any more is no news
        for task in self.serving.values():
            task.cancel()

    def _arguments(self, served: Served, frame: Frame) -> Any:
        try:
            return served.method.arguments.decode(frame.body)
        except msgspec.DecodeError as error:
            raise ValueError(f"the arguments of {frame.method} do not fit: {error}") from error

    def _ended(self, frame: Frame) -> None:
        waiting = self._pending.pop(frame.id, None)
        if waiting is None:
            self.cancelled.pop(frame.id, None)
            return
        future, method = waiting
        if future.done():
            return
        if frame.kind is Kind.REFUSAL:
            future.set_exception(error_of(frame.body))
            return
        try:
            future.set_result(method.answer.decode(frame.body))
        except msgspec.DecodeError as error:
            future.set_exception(
                PluginFault(f"answered {method.name} with what does not fit: {error}")
            )

    async def _serve(self, number: int, owner: int, served: Served, arguments: Any) -> None:
        """Perform a call of the other end and answer it."""
        OWNER.set(owner)
        try:
            frame = encode(Kind.ANSWER, number, "", await served.call(*arguments), self.reveals)
        except asyncio.CancelledError:
            frame = encode(Kind.REFUSAL, number, "", refusal_of(PluginFault("was cancelled")))
        except Exception as error:  # noqa: BLE001 - it is the answer
            frame = encode(Kind.REFUSAL, number, "", refusal_of(error))
        finally:
            self.serving.pop(number, None)
        if self.why_closed is None:
            self.send(frame)

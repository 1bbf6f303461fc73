"""Access to a Docker Engine: the Docker SDK, which blocks, runs on threads.

A small pool serves requests about single containers. Requests about the whole engine have a pool
of their own, because they must not wait for the former. One more thread reads the event stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any, Final

import docker
import requests
from docker.types.daemon import CancellableStream

from tocsin.plugins.probes.docker_health.errors import Cut, EngineAway, of_the_request, of_the_whole

CALL_TIMEOUT = 10
"""Timeout of a call, in seconds."""

PAST_TIMEOUT = 4
"""Timeout in seconds of a request for past events; an engine keeps the last 256."""

AGREE, STEADY = 5.0, 2.0
"""Seconds by which the engine's clock, read in whole seconds, may differ from ours before its times
are converted; and by which the difference must change before it is updated."""

SILENCE: Final = object()
"""Delivered in place of an event if the stream has not begun within CALL_TIMEOUT."""

THREADS = 6
THREADS_OF_THE_WHOLE = 3
CONNECTIONS = THREADS + THREADS_OF_THE_WHOLE + 1
"""Most connections, the event stream included. By default, sshd allows ten (MaxSessions)."""


def part(answer: object, *path: str) -> Mapping[str, Any]:
    """Return the table at a path of an answer; empty if it is missing or of another type."""
    for key in path:
        answer = answer.get(key) if isinstance(answer, Mapping) else None
    return answer if isinstance(answer, Mapping) else {}


_QUESTIONS = frozenset(("inspect_container", "inspect_image", "stats"))
"""Methods that change nothing, and may be repeated."""

TRIES = 3
"""How often a request that changes nothing is sent while its connection ends."""


def _filters(filters: Mapping[str, str]) -> str:
    return json.dumps({name: [value] for name, value in filters.items()})


def _wait_for_ever(api: Any, answer: Any) -> None:
    """Remove the read timeout of an answer that has begun: events may be far apart."""
    socket = api._get_raw_response_socket(answer)
    with contextlib.suppress(AttributeError):
        api._disable_socket_timeout(socket)


class _Listening:
    """An event stream that a thread reads, or is about to read."""

    def __init__(self) -> None:
        self._stream: CancellableStream[Any] | None = None
        self._is_over = False

    def begin(self, stream: CancellableStream[Any]) -> None:
        """Set the stream, now that it has begun; close it if :meth:`end` came first."""
        self._stream = stream
        if self._is_over:
            self.end()

    def end(self) -> None:
        """Close the stream, now or as soon as it begins."""
        self._is_over = True
        if self._stream is not None:
            with contextlib.suppress(Exception):
                self._stream.close()


class Engine:
    """One Docker Engine. Calls run on at most :data:`CONNECTIONS` threads."""

    def __init__(self, make: Callable[[], docker.APIClient]) -> None:
        self._make = make
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="tocsin docker")
        self._whole = ThreadPoolExecutor(
            THREADS_OF_THE_WHOLE, thread_name_prefix="tocsin docker engine"
        )
        self.api: docker.APIClient | None = None
        self._listening: _Listening | None = None
        self.ahead = 0.0
        """Seconds by which its clock was ahead of ours at the last query; 0 if they agree."""

    async def connect(self) -> None:
        """Connect to the engine; an earlier connection is closed.

        Raises:
            EngineAway: the engine cannot be reached.
        """
        with of_the_whole():
            if self.api is not None:
                await self._on(self._whole, self.api.close)
                self.api = None
            self.api = await self._ask(self._whole, self._make)

    @staticmethod
    async def _on(
        pool: ThreadPoolExecutor, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        loop = asyncio.get_running_loop()
        with of_the_request():
            return await loop.run_in_executor(pool, lambda: function(*args, **kwargs))

    async def _ask(
        self, pool: ThreadPoolExecutor, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Run a request that changes nothing; repeat it if the connection ends."""
        for left in reversed(range(TRIES)):
            try:
                return await self._on(pool, function, *args, **kwargs)
            except Cut:
                if not left:
                    raise
        raise AssertionError  # not reached

    def _method(self, name: str) -> Callable[..., Any]:
        if self.api is None:
            raise EngineAway("not connected")
        method: Callable[..., Any] = getattr(self.api, name)
        return method

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of ``docker.APIClient`` that concerns the whole engine.

        Raises:
            EngineAway: the engine cannot be queried.
        """
        with of_the_whole():
            return await self._ask(self._whole, self._method(method), *args, **kwargs)

    async def about(self, method: str, container_id: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of ``docker.APIClient`` that concerns one container.

        Raises:
            NoSuchContainer: the engine does not know the container.
            Refused: the engine rejected the request.
            Unanswered: the engine did not complete the request.
            EngineAway: there is no connection.
        """
        ask = self._ask if method in _QUESTIONS else self._on
        return await ask(self._pool, self._method(method), container_id, *args, **kwargs)

    async def read(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function of this plugin with the SDK's client; raises as :meth:`about` does."""
        if self.api is None:
            raise EngineAway("not connected")
        return await self._ask(self._pool, function, self.api, *args)

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a blocking function of this plugin on the pool for single containers."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    async def now(self) -> float:
        """Return the time of the engine's clock, in whole seconds since 1970.

        Raises:
            EngineAway: the engine does not answer.
        """
        with of_the_whole():
            return float(await self._ask(self._whole, self._now))

    def _now(self) -> float:
        api = self._client()
        answer = api._get(api._url("/_ping"))
        answer.raise_for_status()
        try:
            now = parsedate_to_datetime(answer.headers["Date"]).timestamp()
        except (KeyError, ValueError):
            return time.time()
        ahead = now + 0.5 - time.time()
        if abs(ahead) < AGREE:
            self.ahead = 0.0
        elif abs(ahead - self.ahead) > STEADY:
            self.ahead = ahead
        return now

    async def past(self, since: float, until: float, **filters: str) -> list[object]:
        """Return the events between two past moments of the engine's clock, as it sent them.

        Args:
            since: seconds since 1970; the fraction is dropped.
            until: seconds since 1970, likewise. The engine would wait for a future moment.
            filters: as in the API of the engine.

        Raises:
            Refused: the engine rejected the request.
            Unanswered: the engine did not complete the request.
            EngineAway: there is no connection.
        """
        found: list[object] = await self._ask(self._whole, self._past, since, until, filters)
        return found

    def _past(self, since: float, until: float, filters: Mapping[str, str]) -> list[object]:
        api = self._client()
        params = {"since": int(since), "until": int(until), "filters": _filters(filters)}
        answer = api._get(api._url("/events"), params=params, timeout=PAST_TIMEOUT)
        if answer.status_code >= 400:
            api._raise_for_status(answer)
        return [json.loads(line) for line in answer.content.splitlines() if line.strip()]

    def _client(self) -> Any:
        if self.api is None:
            raise EngineAway("not connected")
        return self.api

    def listen(self, since: float | None, on_event: Callable[[object | None], None]) -> None:
        """Read events on a new thread until the stream ends or :meth:`hang_up` is called.

        Args:
            since: seconds since 1970, of the engine's clock, from which on events are read; None:
                from now on.
            on_event: is called in the current event loop with each event, and at the end with
                None, or with SILENCE if the stream did not begin in time.
        """
        api, loop = self._client(), asyncio.get_running_loop()
        listening = self._listening = _Listening()

        def post(event: object | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(on_event, event)

        def read() -> None:
            last: object | None = None
            try:
                params = {
                    "since": None if since is None else int(since),
                    "filters": _filters({"type": "container"}),
                }
                # The SDK's ``events`` sets no timeout for the beginning of the answer.
                answer = api._get(
                    api._url("/events"), params=params, stream=True,
                    timeout=api.timeout,
                )  # fmt: skip
                _wait_for_ever(api, answer)
                stream = CancellableStream(api._stream_helper(answer, decode=True), answer)
                listening.begin(stream)
                for event in stream:
                    if event is not None:
                        post(event)
            except requests.exceptions.ReadTimeout:
                last = SILENCE
            except Exception:  # noqa: BLE001, S110 - any error ends the stream
                pass
            post(last)

        threading.Thread(target=read, name="tocsin docker events", daemon=True).start()

    @property
    def can_hang_up(self) -> bool:
        """Whether the stream can be closed while the connection stays open; not through SSH."""
        return not str(self._client().base_url).startswith("http+docker://ssh")

    def hang_up(self) -> None:
        """Close the event stream, if there is one."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.end()

    def close(self) -> None:
        """Release all threads and connections; running calls end by their timeout."""
        self.hang_up()
        for pool in (self._pool, self._whole):
            pool.shutdown(wait=False, cancel_futures=True)
        if self.api is not None:
            with contextlib.suppress(Exception):
                self.api.close()

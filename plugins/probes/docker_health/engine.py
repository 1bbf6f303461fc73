"""The Docker SDK, which blocks, kept off the event loop: a small pool of threads for what is asked
about single containers, a few more for what concerns the whole engine, which must not wait behind
them, and one for the stream of events."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any, Final

import docker
import requests
import urllib3
from docker.types.daemon import CancellableStream

from tocsin import clean_text, own_shortage
from tocsin.plugins.probes import _ssh

CALL_TIMEOUT = 10
"""Seconds for one call."""

PAST_TIMEOUT = 4
"""Timeout in seconds of a request for past events, of which an engine remembers 256."""

AGREE, STEADY = 5.0, 2.0
"""Seconds by which an engine's clock, which counts whole seconds, may differ from ours before its
times are converted; and by which it must have moved before the difference is taken as greater."""

SILENCE: Final = object()
"""Delivered in place of an event where a stream has not begun within CALL_TIMEOUT."""

THREADS = 6
THREADS_OF_THE_WHOLE = 3
CONNECTIONS = THREADS + THREADS_OF_THE_WHOLE + 1
"""With the stream of events. An sshd lets ten be open at once (MaxSessions)."""


def part(answer: object, *path: str) -> Mapping[str, Any]:
    """A table in an answer of the engine; empty where there is none, or something else."""
    for key in path:
        answer = answer.get(key) if isinstance(answer, Mapping) else None
    return answer if isinstance(answer, Mapping) else {}


class EngineAway(Exception):
    """The engine cannot be asked; the message says why in a clause."""


class NoSuchContainer(Exception):
    """The engine does not know the container (any more)."""


class Refused(Exception):
    """The engine answered no; the message is its own."""


class Unanswered(Exception):
    """The engine did not do what it was asked about one container, which says nothing about the
    others: no answer in time, or an error of its own."""


class Cut(Unanswered):
    """The connection ended before the answer came, as by a proxy, which says nothing of the engine:
    whatever changes nothing may be asked again."""


_QUESTIONS = frozenset(("inspect_container", "inspect_image", "stats"))
"""Methods that change nothing."""

TRIES = 3
"""How often what changes nothing is asked where the connection ends."""

_TROUBLE: tuple[type[Exception], ...] = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    docker.errors.DockerException,
    OSError,
    *_ssh.TROUBLE,
)


def _why(error: BaseException) -> str:
    """What keeps an engine from answering, in a clause."""
    if (lack := own_shortage(error)) is not None:
        return lack
    text = str(error)
    known = {
        "No such file": "there is no such socket",
        "FileNotFoundError": "there is no such socket",
        "Connection refused": "the connection is refused",
        "ConnectionRefusedError": "the connection is refused",
        "Permission denied": "permission is denied; add this user to the group docker",
        "PermissionError": "permission is denied; add this user to the group docker",
        "timed out": "it does not answer in time",
        "Timeout": "it does not answer in time",
    }
    return next(
        (words for mark, words in known.items() if mark in text),
        clean_text(text, longest=190) or "no answer",
    )


def _was_cut(error: object, depth: int = 4) -> bool:
    """Whether an error, or what it is about, is the end of a connection."""
    if isinstance(error, ConnectionResetError | BrokenPipeError | http.client.IncompleteRead):
        return True
    inner = (*error.args, error.__cause__) if isinstance(error, Exception) and depth else ()
    return any(_was_cut(each, depth - 1) for each in inner)


@contextlib.contextmanager
def _of_the_whole() -> Iterator[None]:
    """What fails here fails for every container."""
    try:
        yield
    except (NoSuchContainer, Refused, Unanswered) as error:
        raise EngineAway(str(error)) from None


def _filters(filters: Mapping[str, str]) -> str:
    return json.dumps({name: [value] for name, value in filters.items()})


def _wait_for_ever(api: Any, answer: Any) -> None:
    """An answer that has begun may go on with pauses of any length."""
    socket = api._get_raw_response_socket(answer)
    with contextlib.suppress(AttributeError):
        api._disable_socket_timeout(socket)


class _Listening:
    """A stream of events that a thread reads, or is about to."""

    def __init__(self) -> None:
        self._stream: CancellableStream[Any] | None = None
        self._is_over = False

    def begin(self, stream: CancellableStream[Any]) -> None:
        """It has begun."""
        self._stream = stream
        if self._is_over:
            self.end()

    def end(self) -> None:
        """End it, also one that has yet to begin."""
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
        """Seconds by which its clock was ahead of ours when last asked; 0 where they agree."""

    async def connect(self) -> None:
        """Reach the engine. Raises EngineAway."""
        with _of_the_whole():
            if self.api is not None:
                await self._on(self._whole, self.api.close)
                self.api = None
            self.api = await self._ask(self._whole, self._make)

    @staticmethod
    async def _on(
        pool: ThreadPoolExecutor, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(pool, lambda: function(*args, **kwargs))
        except docker.errors.NotFound as error:
            raise NoSuchContainer(str(error.explanation)) from None
        except docker.errors.APIError as error:
            if error.is_server_error():
                raise Unanswered(clean_text(str(error.explanation), longest=190)) from None
            raise Refused(clean_text(str(error.explanation), longest=240)) from None
        except _TROUBLE as error:
            raise (Cut if _was_cut(error) else Unanswered)(_why(error)) from None
        except Exception as error:  # noqa: BLE001 - an answer that the SDK does not understand
            lack = own_shortage(error)
            text = f"its answer is not understood ({type(error).__name__})"
            raise Unanswered(lack or text) from None

    async def _ask(
        self, pool: ThreadPoolExecutor, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Ask what changes nothing; once more where the connection ends."""
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
        """Call a method of ``docker.APIClient`` that concerns the engine. Raises EngineAway."""
        with _of_the_whole():
            return await self._ask(self._whole, self._method(method), *args, **kwargs)

    async def about(self, method: str, container_id: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method that concerns one container.

        Raises:
            NoSuchContainer, Refused, Unanswered: as they say.
            EngineAway: not connected.
        """
        ask = self._ask if method in _QUESTIONS else self._on
        return await ask(self._pool, self._method(method), container_id, *args, **kwargs)

    async def read(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function of ours about one container, with the client; raises as :meth:`about`."""
        if self.api is None:
            raise EngineAway("not connected")
        return await self._ask(self._pool, function, self.api, *args)

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run blocking code of ours on the pool."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    async def now(self) -> float:
        """Ask whether the engine is there, and for its clock: whole seconds since 1970.

        Raises EngineAway."""
        with _of_the_whole():
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
        """The events between two moments of the engine's clock, neither of them still to come.

        Raises:
            Refused, Unanswered: as they say.
            EngineAway: not connected.
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
        """Read events on a thread of its own until the stream ends or :meth:`hang_up`.

        ``on_event`` is called in the current event loop with each event; with SILENCE where the
        stream does not even begin; and with None at the end.
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
                # The SDK's own ``events`` would wait for the beginning of an answer for ever.
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
            except Exception:  # noqa: BLE001, S110 - however it ends, it has ended
                pass
            post(last)

        threading.Thread(target=read, name="tocsin docker events", daemon=True).start()

    @property
    def can_hang_up(self) -> bool:
        """Whether a stream can be ended while the connection stays; not through SSH."""
        return not str(self._client().base_url).startswith("http+docker://ssh")

    def hang_up(self) -> None:
        """End the stream of events."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.end()

    def close(self) -> None:
        """Let go of everything; calls that are going on end by their timeout."""
        self.hang_up()
        for pool in (self._pool, self._whole):
            pool.shutdown(wait=False, cancel_futures=True)
        if self.api is not None:
            with contextlib.suppress(Exception):
                self.api.close()

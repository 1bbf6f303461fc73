"""The Docker SDK, which blocks, kept off the event loop: a small pool of threads for what is asked
about single containers, a few more for what concerns the whole engine, which must not wait behind
them, and one for the stream of events."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import requests
import urllib3

from tocsin import clean_text, own_shortage
from tocsin.plugins.probes import _ssh

CALL_TIMEOUT = 10
"""Seconds for one call."""

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


@contextlib.contextmanager
def _of_the_whole() -> Iterator[None]:
    """What fails here fails for every container."""
    try:
        yield
    except (NoSuchContainer, Refused, Unanswered) as error:
        raise EngineAway(str(error)) from None


class Engine:
    """One Docker Engine. Calls run on at most :data:`CONNECTIONS` threads."""

    def __init__(self, make: Callable[[], docker.APIClient]) -> None:
        self._make = make
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="tocsin docker")
        self._whole = ThreadPoolExecutor(
            THREADS_OF_THE_WHOLE, thread_name_prefix="tocsin docker engine"
        )
        self.api: docker.APIClient | None = None
        self._stream: Any = None

    async def connect(self) -> None:
        """Reach the engine. Raises EngineAway."""
        with _of_the_whole():
            if self.api is not None:
                await self._on(self._whole, self.api.close)
                self.api = None
            self.api = await self._on(self._whole, self._make)

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
            raise Unanswered(_why(error)) from None
        except Exception as error:  # noqa: BLE001 - an answer that the SDK does not understand
            lack = own_shortage(error)
            text = f"its answer is not understood ({type(error).__name__})"
            raise Unanswered(lack or text) from None

    def _method(self, name: str) -> Callable[..., Any]:
        if self.api is None:
            raise EngineAway("not connected")
        method: Callable[..., Any] = getattr(self.api, name)
        return method

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of ``docker.APIClient`` that concerns the engine. Raises EngineAway."""
        with _of_the_whole():
            return await self._on(self._whole, self._method(method), *args, **kwargs)

    async def about(self, method: str, container_id: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method that concerns one container.

        Raises:
            NoSuchContainer, Refused, Unanswered: as they say.
            EngineAway: not connected.
        """
        return await self._on(self._pool, self._method(method), container_id, *args, **kwargs)

    async def read(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function of ours about one container, with the client; raises as :meth:`about`."""
        if self.api is None:
            raise EngineAway("not connected")
        return await self._on(self._pool, function, self.api, *args)

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run blocking code of ours on the pool."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    def listen(self, since: float | None, on_event: Callable[[object | None], None]) -> None:
        """Read events on a thread of its own until the stream ends or :meth:`close`.

        ``on_event`` is called in the current event loop with each event, and with None at the end.
        """
        api, loop = self.api, asyncio.get_running_loop()

        def post(event: object | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(on_event, event)

        def read() -> None:
            try:
                assert api is not None  # noqa: S101
                stream = api.events(
                    since=None if since is None else int(since),
                    filters={"type": "container"},
                    decode=True,
                )
                self._stream = stream
                for event in stream:
                    if event is not None:
                        post(event)
            except Exception:  # noqa: BLE001, S110 - however it ends, it has ended
                pass
            post(None)

        threading.Thread(target=read, name="tocsin docker events", daemon=True).start()

    def hang_up(self) -> None:
        """End the stream of events."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(Exception):
                stream.close()

    def close(self) -> None:
        """Let go of everything; calls that are going on end by their timeout."""
        self.hang_up()
        for pool in (self._pool, self._whole):
            pool.shutdown(wait=False, cancel_futures=True)
        if self.api is not None:
            with contextlib.suppress(Exception):
                self.api.close()

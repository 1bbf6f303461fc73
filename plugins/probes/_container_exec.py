"""Runs programs inside containers, as ``docker exec`` does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import docker
from attrs import Factory, define

from tocsin import clean_text
from tocsin.plugins.probes import _ssh
from tocsin.plugins.probes._process import Finished
from tocsin.plugins.probes._threads import in_thread

KILL_SECONDS = 1.0
"""Seconds to wait for a program to be killed; after that the killing continues on its thread."""

LATE = 5.0
"""Seconds beyond the timeout that one call to the Docker Engine may take."""

_ANNOUNCE = 'echo "tocsin: $$" >&2; exec "$@"'
"""Script that prints the pid of ``sh`` and replaces ``sh`` by the command. The pid that the engine
reports is not valid inside the container."""

_ANNOUNCED = re.compile(rb"^tocsin: (\d{1,10})\n", re.MULTILINE)
_LINE = 32
"""Most bytes of the line that ``_ANNOUNCE`` prints."""

_NOT_THERE = (126, 127)
"""Exit codes of an exec whose program does not exist or cannot be started."""

_Key = tuple[str | None, str, tuple[str, ...]]


@define
class _Containers:
    """What earlier runs found out about containers."""

    left: dict[_Key, _Exec] = Factory(dict)
    """Runs that did not end in time, by engine, container and command."""

    without_shell: dict[tuple[str | None, str], str] = Factory(dict)
    """Ids of containers whose image has no ``sh``, by engine and container name."""


_CONTAINERS = _Containers()
"""Shared by the process: a program that does not end outlives its check, a reload and the app."""


class StillRunning(Exception):
    """The last run of this command in this container has not ended, so no second one may start."""


_AWAY: tuple[type[Exception], ...] = (docker.errors.DockerException, *_ssh.TROUBLE)


async def run_in_container(
    container: str,
    command: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str],
    cwd: str | None,
    output_limit: int,
    host: str | None,
) -> Finished:
    """Run a program in a container and return how it ended, like :func:`._process.run`.

    At the timeout, and if the caller is cancelled, the program and its process group are killed
    inside the container by the container's own ``sh``, because the engine has no call for this.
    Without ``sh`` the program is killed from outside the container, if its process is visible to
    tocsin. Otherwise it continues, and further runs are refused until it has ended.

    Args:
        container: name or id of the container.
        command: the program and its arguments; no shell interprets them.
        timeout: seconds until the program is killed.
        env: environment variables added to those of the container.
        cwd: folder inside the container; None: the container's own.
        output_limit: bytes kept of each of stdout and stderr.
        host: address of the Docker Engine; None: ``DOCKER_HOST`` or the local engine.

    Raises:
        OSError: the engine does not answer, or the container does not exist or does not run.
        StillRunning: an earlier run that could not be killed has not ended.
    """
    began = time.monotonic()
    work = _Exec(container, command, env, cwd, output_limit, host, timeout)
    future = asyncio.wrap_future(in_thread(work.run, "exec"))
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.wait({future}, timeout=timeout)
    finally:
        if not future.done():
            ending = asyncio.wrap_future(in_thread(work.end, "exec"))
            await asyncio.wait({ending}, timeout=KILL_SECONDS)
    if not future.done() or work.ended:
        return Finished(
            code=-9, stdout="", stderr="", timed_out=True, seconds=time.monotonic() - began
        )
    code, stdout, stderr = future.result()
    return Finished(
        code=code,
        stdout=stdout.decode("utf-8", "replace"),
        stderr=stderr.decode("utf-8", "replace"),
        timed_out=False,
        seconds=time.monotonic() - began,
    )


class _Exec:
    """One run of a program. Its methods block; ``run`` and ``end`` are called on two threads."""

    def __init__(
        self,
        container: str,
        command: Sequence[str],
        env: Mapping[str, str],
        cwd: str | None,
        limit: int,
        host: str | None,
        timeout: float,
    ) -> None:
        self._container = container
        self._command = list(command)
        self._env = dict(env)
        self._cwd = cwd
        self._limit = limit
        self._host = host or os.environ.get("DOCKER_HOST")
        self._timeout = int(timeout + LATE)
        self._key: _Key = (self._host, container, tuple(command))
        self._api: Any = None
        self._id: str | None = None
        self._stream: Any = None
        self._pid: int | None = None  # inside the container
        self._over = False
        self.ended = False
        """Whether ``end`` was called before the program ended by itself."""

    def run(self) -> tuple[int, bytes, bytes]:
        """Run the program until it ends and return its exit code, stdout and stderr.

        Raises:
            OSError: the engine does not answer, or the container does not exist or does not run.
            StillRunning: an earlier run has not ended.
        """
        try:
            left = _CONTAINERS.left.get(self._key)
            if left is not None and left.goes_on():
                raise StillRunning
            self._api = docker.APIClient(base_url=self._host, version="auto", timeout=self._timeout)
            return self._run()
        except docker.errors.NotFound:
            raise OSError(0, f"there is no container called {self._container}") from None
        except docker.errors.APIError as error:
            raise OSError(0, clean_text(str(error.explanation or error), longest=240)) from error
        except _AWAY as error:
            raise OSError(
                0, f"the Docker Engine does not answer: {clean_text(str(error), longest=140)}"
            ) from error
        finally:
            self._over = True

    def _run(self) -> tuple[int, bytes, bytes]:
        place = (self._host, self._container)
        if place not in _CONTAINERS.without_shell:
            code, stdout, stderr, _ = self._execute(
                ["sh", "-c", _ANNOUNCE, "tocsin"], announced=True
            )
            if self._pid is not None or self.ended or code not in _NOT_THERE:
                return code, stdout, stderr
        code, stdout, stderr, container = self._execute([])
        if self.ended or code in _NOT_THERE:
            return code, stdout, stderr
        if _CONTAINERS.without_shell.setdefault(place, container) != container:
            # Another container has this name now, perhaps with an image that has ``sh``.
            del _CONTAINERS.without_shell[place]
        return code, stdout, stderr

    def _execute(
        self, before: list[str], *, announced: bool = False
    ) -> tuple[int, bytes, bytes, str]:
        """Run the command, preceded by the words of ``before``.

        Args:
            before: program and arguments that start the command.
            announced: whether ``before`` prints the pid first (``_ANNOUNCE``).

        Returns:
            The exit code, stdout, stderr and the id of the container.
        """
        created = self._api.exec_create(
            self._container, [*before, *self._command], environment=self._env, workdir=self._cwd
        )
        if self.ended:
            return -9, b"", b"", ""
        self._id = created["Id"]
        self._stream = self._api.exec_start(self._id, stream=True, demux=True)
        stdout, stderr = bytearray(), bytearray()
        for out, err in self._stream:
            stdout += (out or b"")[: max(0, self._limit - len(stdout))]
            stderr += (err or b"")[: max(0, self._limit + _LINE - len(stderr))]
            if announced and self._pid is None and (found := _ANNOUNCED.search(stderr)):
                self._pid = int(found[1])
                del stderr[found.start() : found.end()]
            if self.ended:  # ``end`` was called before it could see and close the stream
                self._kill()
                break
        if self.ended:
            return -9, b"", b"", ""
        state = self._api.exec_inspect(self._id)
        if state["ExitCode"] is None:
            raise OSError(0, "it closed its output but still runs")
        self._api.close()
        return state["ExitCode"], bytes(stdout), bytes(stderr[: self._limit]), state["ContainerID"]

    def end(self) -> None:
        """Kill the program and make ``run`` return, even if the killing fails."""
        self.ended = True
        if self._id is not None:
            _CONTAINERS.left[self._key] = self
        if self._stream is not None:
            self._kill()
            # Over SSH the SDK cannot close the stream and raises.
            with contextlib.suppress(docker.errors.DockerException, OSError):
                self._stream.close()

    def goes_on(self) -> bool:
        """Return whether the program still runs after ``end``; if so, kill it once more.

        Raises:
            docker.errors.DockerException: the engine's error, except for an exec that it no longer
                knows.
        """
        if not self._over:
            self.end()
            return True
        with contextlib.suppress(docker.errors.NotFound):
            if self._api.exec_inspect(self._id)["Running"]:
                self._kill()
                return True
        _CONTAINERS.left.pop(self._key, None)
        self._api.close()
        return False

    def _kill(self) -> None:
        with contextlib.suppress(docker.errors.DockerException, OSError):
            state = self._api.exec_inspect(self._id)
            if not state["Running"]:
                return
            if self._pid is not None:
                # An exec starts a new session, so its pid is also the id of its process group.
                line = f"kill -9 -{self._pid} || kill -9 {self._pid}"
                killer = self._api.exec_create(state["ContainerID"], ["sh", "-c", line])
                self._api.exec_start(killer["Id"], detach=True)
            elif self._is_ours(pid := int(state.get("Pid") or 0)):
                os.kill(pid, 9)

    def _is_ours(self, pid: int) -> bool:
        """Return whether ``pid``, as the engine reports it, is the program in tocsin's own pid
        namespace. If tocsin runs in a container, another process may have that pid there."""
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
                seen = file.read().rstrip(b"\0").split(b"\0")
        except OSError:
            return False
        return seen == [part.encode() for part in self._command]

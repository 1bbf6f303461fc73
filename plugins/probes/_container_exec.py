"""Running a program inside a container: ``docker exec``."""

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
"""How long the killing of a program is waited for; it goes on behind."""

LATE = 5.0
"""Seconds beyond the timeout for which a call to the engine may take."""

_ANNOUNCE = 'echo "tocsin: $$" >&2; exec "$@"'
"""What ``sh`` does first: the engine gives no pid that is one inside the container."""

_ANNOUNCED = re.compile(rb"^tocsin: (\d{1,10})\n", re.MULTILINE)
_LINE = 32
"""Bytes that it takes at most."""

_NOT_THERE = (126, 127)
"""Exit codes of an exec whose program is not there."""

_Key = tuple[str | None, str, tuple[str, ...]]


@define
class _Containers:
    """What runs have found out of containers."""

    left: dict[_Key, _Exec] = Factory(dict)
    """By engine, container and command: the run that did not end in time."""

    without_shell: dict[tuple[str | None, str], str] = Factory(dict)
    """By engine and name: the id of a container whose image has no ``sh``."""


_CONTAINERS = _Containers()
"""One for the process: a program that does not end outlives its check, a reload, and the app."""


class StillRunning(Exception):
    """The last run of this command in this container goes on; there is to be no second one."""


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
    """Run a program in a container; as :func:`._process.run`.

    At the timeout, and if the caller is cancelled, the program and its group are killed inside the
    container by the container's own ``sh``, since the engine has no call for it. Where there is no
    ``sh`` it is killed from here, if it can be seen from here; else it goes on, and further runs
    are refused until it has ended.

    Raises:
        OSError: the engine does not answer, or the container is not there or not running.
        StillRunning: an earlier run that could not be ended goes on.
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
    """One run. Blocking; ``run`` is on one thread, ``end`` on another."""

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
        """It was to end before it did by itself."""

    def run(self) -> tuple[int, bytes, bytes]:
        """Run the program until it ends; its exit code and output. Raises OSError, StillRunning."""
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
            del _CONTAINERS.without_shell[place]  # another by that name, perhaps of another image
        return code, stdout, stderr

    def _execute(
        self, before: list[str], *, announced: bool = False
    ) -> tuple[int, bytes, bytes, str]:
        """Run the command with ``before`` before it: exit code, output, the container's id."""
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
            if self.ended:  # before there was a stream to close
                self._kill()
                break
        if self.ended:
            return -9, b"", b"", ""
        state = self._api.exec_inspect(self._id)
        if state["ExitCode"] is None:
            raise OSError(0, "it closed its output and goes on")
        self._api.close()
        return state["ExitCode"], bytes(stdout), bytes(stderr[: self._limit]), state["ContainerID"]

    def end(self) -> None:
        """Kill the program, and have ``run`` return whether that worked or not."""
        self.ended = True
        if self._id is not None:
            _CONTAINERS.left[self._key] = self
        if self._stream is not None:
            self._kill()
            with contextlib.suppress(docker.errors.DockerException, OSError):  # not over SSH
                self._stream.close()

    def goes_on(self) -> bool:
        """Whether the program runs all the same; if so, it is killed once more.

        Raises what the engine says, but for an exec that it does not know any more.
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
                # An exec begins a session, so its pid is also its group's.
                line = f"kill -9 -{self._pid} || kill -9 {self._pid}"
                killer = self._api.exec_create(state["ContainerID"], ["sh", "-c", line])
                self._api.exec_start(killer["Id"], detach=True)
            elif self._is_ours(pid := int(state.get("Pid") or 0)):
                os.kill(pid, 9)

    def _is_ours(self, pid: int) -> bool:
        """Whether the engine's pid is, on this host, the very program, not a stranger of that
        number: tocsin in a container sees other processes than the engine."""
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
                seen = file.read().rstrip(b"\0").split(b"\0")
        except OSError:
            return False
        return seen == [part.encode() for part in self._command]

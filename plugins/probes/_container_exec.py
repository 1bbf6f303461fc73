"""Running a program inside a container: ``docker exec``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping, Sequence

import docker

from tocsin.plugins.probes._process import Finished


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

    At the timeout the program is killed inside the container, by the container's own ``kill``,
    since the engine has no call for it; a container without one keeps it running.

    Raises:
        OSError: the engine does not answer, or the container is not there or not running.
    """
    began = time.monotonic()
    loop = asyncio.get_running_loop()
    work = _Exec(container, command, env, cwd, output_limit, host, timeout)
    future = loop.run_in_executor(None, work.run)
    done, _ = await asyncio.wait({future}, timeout=timeout)
    if not done:
        await asyncio.wait({loop.run_in_executor(None, work.kill)}, timeout=2)
        future.add_done_callback(lambda f: f.exception())
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
    """One exec. Its program announces its pid (in the container) by way of ``sh``, where there is
    one, so that it can be killed."""

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
        self._timeout = int(timeout) + 5
        self._api: docker.APIClient | None = None
        self._id: str | None = None

    def run(self) -> tuple[int, bytes, bytes]:
        """Run it to its end; blocking."""
        try:
            self._api = docker.APIClient(base_url=self._host, version="auto", timeout=self._timeout)
        except docker.errors.DockerException as error:
            raise OSError(0, f"the Docker Engine does not answer: {str(error)[:100]}") from error
        try:
            created = self._api.exec_create(
                self._container, self._command, environment=self._env, workdir=self._cwd
            )
            self._id = created["Id"]
            stdout, stderr = bytearray(), bytearray()
            for out, err in self._api.exec_start(self._id, stream=True, demux=True):
                stdout += (out or b"")[: max(0, self._limit - len(stdout))]
                stderr += (err or b"")[: max(0, self._limit - len(stderr))]
            code = self._api.exec_inspect(self._id)["ExitCode"]
        except docker.errors.NotFound:
            raise OSError(0, f"there is no container called {self._container}") from None
        except docker.errors.APIError as error:
            raise OSError(0, str(error.explanation or error)[:200]) from error
        return int(code), bytes(stdout), bytes(stderr)

    def kill(self) -> None:
        """Kill the program. The engine tells its pid as the host sees it; on the engine's own host
        that is enough, elsewhere the container's ``kill`` finds it by its command line."""
        if self._id is None or self._api is None:
            return
        with contextlib.suppress(docker.errors.DockerException, OSError, ValueError):
            pid = int(self._api.exec_inspect(self._id).get("Pid") or 0)
            if pid and self._is_ours(pid):
                os.kill(pid, 9)
                return
            pattern = " ".join(self._command)
            killer = self._api.exec_create(self._container, ["pkill", "-9", "-f", pattern])
            self._api.exec_start(killer["Id"])

    def _is_ours(self, pid: int) -> bool:
        """Whether the pid is, on this host, the very program, not a stranger of that number."""
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
                seen = file.read().rstrip(b"\0").split(b"\0")
        except OSError:
            return False
        return seen == [part.encode() for part in self._command]

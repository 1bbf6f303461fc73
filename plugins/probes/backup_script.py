"""The backup-script probe: run a check program, or check that the newest backup file is fresh.

A program reports as Monitoring Plugins do, by exit status, text and performance data, so each of
the many existing ``check_*`` programs can be used
(https://www.monitoring-plugins.org/doc/guidelines.html).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from attrs import Factory, frozen, validators
from attrs import field as option

from tocsin import (
    Bytes,
    Metric,
    Probe,
    Result,
    Seconds,
    Secret,
    Status,
    Target,
    clean_text,
    hookimpl,
    own_shortage,
)
from tocsin.plugins.probes import _metrics, _perfdata, _ssh
from tocsin.plugins.probes._container_exec import StillRunning, run_in_container
from tocsin.plugins.probes._freshness import Freshness
from tocsin.plugins.probes._process import Finished, run
from tocsin.plugins.probes._threads import LOOKS

_STATUSES = {0: Status.UP, 1: Status.DEGRADED, 2: Status.DOWN, 3: Status.UNKNOWN}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_EXTRA = 0.3
"""Seconds reserved from the timeout for ending a program."""


@frozen(kw_only=True)
class BackupScriptProbe(Probe):
    """Run a check program (Monitoring Plugins), or check that the newest backup is fresh.

    Attributes:
        command: absolute path of the program, and its arguments; it runs without a shell.
        env: environment variables of the program; besides these it gets only PATH and LANG.
        cwd: working directory of the program.
        container: container to run the program in (docker exec); unset: where tocsin runs.
        docker_host: address of that container's Docker Engine; unset: DOCKER_HOST or the local one.
        output_limit: most output that is read, of stdout and stderr each.
        files: instead of a command: pattern of backup files; ** matches folders at any depth.
        max_age: the newest file must not be older than this.
        settle: a file changed within this time may be incomplete and is ignored.
        min_size: the newest file must be at least this large.
        max_shrink_percent: most percent by which the newest file may be smaller than the previous.
        min_count: at least this many files must match.
    """

    metrics: ClassVar[Mapping[str, Metric]] = _metrics.BACKUP

    command: tuple[str, ...] = ()
    env: Mapping[str, Secret] = Factory(dict)
    cwd: str | None = None
    container: str | None = None
    docker_host: str | None = None
    output_limit: Bytes = option(default=65536, validator=validators.gt(0))
    files: str | None = None
    max_age: Seconds | None = None
    settle: Seconds = option(default=120.0, validator=validators.ge(0))
    min_size: Bytes = 1
    max_shrink_percent: float | None = None
    min_count: int = 1

    def __attrs_post_init__(self) -> None:
        """Validate combinations of options. Raises ValueError."""
        if bool(self.command) == (self.files is not None):
            raise ValueError('give either command = ["/path", …] or files = "/path/*.dump"')
        if self.command and not os.path.isabs(self.command[0]):  # noqa: PTH117
            raise ValueError(f"command must begin with an absolute path, not {self.command[0]!r}")
        if self.files is not None and not os.path.isabs(self.files):  # noqa: PTH117
            raise ValueError(f"files must be an absolute path or pattern, not {self.files!r}")
        if lack := _ssh.lacking(self.docker_host):
            raise ValueError(lack)
        if self.files is not None and self.container is not None:
            raise ValueError(
                "files and container cannot be combined: tocsin reads files where it runs; mount "
                "the folder there, or run a command in the container"
            )

    async def check(self, target: Target) -> Result:
        """Run the program, or examine the files, and return the result."""
        if self.files is not None:
            return await self._fresh(self.files)
        environment = {"PATH": _PATH, "LANG": "C.UTF-8"}
        environment |= {name: value.reveal() for name, value in self.env.items()}
        timeout = max(0.1, self.timeout - _EXTRA)
        try:
            if self.container is not None:
                done = await run_in_container(
                    self.container, self.command, timeout=timeout, env=environment,
                    cwd=self.cwd, output_limit=self.output_limit, host=self.docker_host,
                )  # fmt: skip
            else:
                done = await run(
                    self.command, timeout=timeout, env=environment, cwd=self.cwd,
                    output_limit=self.output_limit,
                )  # fmt: skip
        except StillRunning:
            return Result.down(f"the last run of {self._name} still hangs in {self.container}")
        except (OSError, RuntimeError, MemoryError) as error:
            lack = own_shortage(error)
            if lack is None and not isinstance(error, OSError):
                raise
            why = lack or getattr(error, "strerror", None) or error
            return Result.unknown(f"{self.command[0]} cannot be run ({why})")
        return self._judge(done)

    async def _fresh(self, pattern: str) -> Result:
        freshness = Freshness(
            pattern=pattern,
            max_age=self.max_age,
            settle=self.settle,
            min_size=self.min_size,
            max_shrink_percent=self.max_shrink_percent,
            min_count=self.min_count,
        )
        try:
            look = partial(freshness.look, time.time())
            return await LOOKS.look("files", freshness, look, self.timeout)
        except TimeoutError:
            return Result.unknown(f"looking for {pattern} took more than {self.timeout:g} s")

    def _judge(self, done: Finished) -> Result:
        text, long, data = _perfdata.split(self._hide(done.stdout))
        metrics = _perfdata.parse(data)
        name = self._name
        if done.timed_out:
            message = f"{name} did not finish within {self.timeout:g} s and was ended"
            return Result.down(message, metrics=metrics, latency=done.seconds)
        if not text:
            text = self._hide(done.stderr).strip().split("\n")[0]
        if done.code in _STATUSES:
            status, message = _STATUSES[done.code], text or f"{name} printed nothing"
        elif done.code < 0:
            status = Status.UNKNOWN
            message = f"{name} was killed by {_signal_name(-done.code)}"
        else:
            status = Status.UNKNOWN
            message = f"{name} exited with {done.code}, which is not a plugin status" + (
                f": {text}" if text else ""
            )
        return Result(
            status=status,
            message=clean_text(message, longest=540),
            latency=done.seconds,
            metrics=metrics,
            attributes={"output": long} if long else {},
        )

    @property
    def _name(self) -> str:
        return os.path.basename(self.command[0])  # noqa: PTH119

    def _hide(self, text: str) -> str:
        """Replace the secrets in ``env`` of four characters or more by ``***``."""
        for secret in self.env.values():
            if len(plain := secret.reveal()) >= 4:
                text = text.replace(plain, "***")
        return text


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@hookimpl
def tocsin_probes() -> dict[str, type[Probe]]:
    """Register the probe."""
    return {"backup-script": BackupScriptProbe}

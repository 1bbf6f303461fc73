"""The options and actions of the source."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import docker
from attrs import define, frozen, validators
from attrs import field as option

from tocsin import (
    Action,
    ActionError,
    Context,
    LogLine,
    Metric,
    Seconds,
    Sink,
    Source,
    SourceRuntime,
)
from tocsin.plugins.probes import _metrics, _ssh
from tocsin.plugins.probes.docker_health import actions as performing
from tocsin.plugins.probes.docker_health.engine import CALL_TIMEOUT, CONNECTIONS
from tocsin.plugins.probes.docker_health.watch import Watch

DEFAULT_HOST = "unix:///var/run/docker.sock"


@frozen(kw_only=True)
class DockerSource(Source):
    """Watch all containers of a Docker Engine: state, health, reason of an end, resource usage.

    Attributes:
        host: unix:///path, tcp://host:port or ssh://user@host; unset: DOCKER_HOST, else
            unix:///var/run/docker.sock.
        tls_ca: file with the certificate of the engine's CA, for tcp:// with TLS.
        tls_cert: file with the client certificate, for tcp:// with TLS.
        tls_key: file with the key of the client certificate.
        include: patterns of names of containers to watch; unset: all.
        exclude: patterns of names of containers to leave out.
        reconcile: interval of the full inventory, which finds what events did not report.
        redeploy_grace: how long a container may be missing while Compose recreates it.
    """

    metrics: ClassVar[Mapping[str, Metric]] = _metrics.DOCKER
    autostart: ClassVar[str | None] = "docker"
    actions: ClassVar[tuple[Action, ...] | None] = ("logs", "restart", "inspect")

    host: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    reconcile: Seconds = option(default=60.0, validator=validators.ge(1))
    redeploy_grace: Seconds = option(default=30.0, validator=validators.ge(0))

    def __attrs_post_init__(self) -> None:
        """Reject invalid options and combinations."""
        if self.host is not None and not self.host.startswith(
            ("unix://", "tcp://", "ssh://", "http://", "https://")
        ):
            raise ValueError("host must begin with unix://, tcp:// or ssh://")
        if lack := _ssh.lacking(self.host):
            raise ValueError(lack)
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key must be set together: set both, or neither")

    @property
    def address(self) -> str:
        """Address of the engine."""
        return self.host or os.environ.get("DOCKER_HOST") or DEFAULT_HOST

    def client(self) -> docker.APIClient:
        """Connect to the engine; blocks.

        Raises:
            docker.errors.DockerException: the engine cannot be reached.
        """
        if lack := _ssh.lacking(self.address):  # for DOCKER_HOST, which is not validated above
            raise docker.errors.DockerException(lack)
        tls: docker.tls.TLSConfig | bool = False
        if self.tls_ca or self.tls_cert:
            pair = (self.tls_cert, self.tls_key) if self.tls_cert and self.tls_key else None
            tls = docker.tls.TLSConfig(client_cert=pair, ca_cert=self.tls_ca, verify=True)
        elif self.host is None and os.environ.get("DOCKER_TLS_VERIFY"):
            return docker.from_env(timeout=CALL_TIMEOUT, max_pool_size=CONNECTIONS).api
        try:
            api = docker.APIClient(
                base_url=self.address,
                tls=tls,
                version="auto",
                timeout=CALL_TIMEOUT,
                max_pool_size=CONNECTIONS,
            )
        except docker.errors.DockerException as error:
            raise docker.errors.DockerException(_ssh.explained(self.address, str(error))) from error
        if self.address.startswith("ssh://"):
            _ssh.share_channels(api)
        return api

    def wants(self, name: str) -> bool:
        """Return whether a container of that name is to be watched."""
        if any(fnmatchcase(name, pattern) for pattern in self.exclude):
            return False
        return not self.include or any(fnmatchcase(name, pattern) for pattern in self.include)

    async def open(self, context: Context) -> DockerWatch:
        """Return what watches the engine."""
        return DockerWatch(self)


@define(eq=False)
class DockerWatch(SourceRuntime):
    """Watches the engine of one source.

    Attributes:
        options: its options.
    """

    options: DockerSource
    _watch: Watch | None = option(init=False, default=None)

    async def run(self, name: str, interval: float, sink: Sink) -> None:
        """Watch the engine until cancelled."""
        watch = self._watch = Watch(self.options, name, interval, sink)
        try:
            await watch.run()
        finally:
            watch.close()
            self._watch = None

    def _running(self) -> Watch:
        if self._watch is None:
            raise ActionError(f"the Docker Engine at {self.options.address} is not being watched")
        return self._watch

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        """Return the last lines of both output streams, in order of time."""
        return await performing.logs(self._running(), target, lines)

    async def restart(self, target: str) -> None:
        """Restart a container, with the stop timeout that it sets."""
        await performing.restart(self._running(), target)

    async def inspect(self, target: str) -> Mapping[str, Any]:
        """Return the engine's inspect document of a container; the core hides secrets in it."""
        return await performing.inspect(self._running(), target)

"""The ssh-banner probe: the identification string of an SSH server (RFC 4253, section 4.2)."""

from __future__ import annotations

import re
import time
from typing import ClassVar

from attrs import field as option
from attrs import frozen

from tocsin import (
    Probe,
    Result,
    Seconds,
    Target,
    check_pattern,
    clean_text,
    deadline,
    hookimpl,
    search_text,
)
from tocsin_net import _metrics
from tocsin_net._dialogue import Dialogue, quoted
from tocsin_net._options import bare, check_host, check_port, place
from tocsin_net._trouble import FAILURES, Trouble, failure

MOST_LINES = 100
"""Most lines that a server may send before its identification string."""

LONGEST = 255
"""Most characters of an identification string, with its end (RFC 4253, 4.2)."""

IDENTIFICATION = "SSH-2.0-tocsin"
"""The probe's own: a server logs an error if a client sends none."""


@frozen(kw_only=True)
class SshBannerProbe(Probe):
    """Read the identification string of an SSH server, such as SSH-2.0-OpenSSH_9.2.

    Attributes:
        host: host name or address.
        port: 1 to 65535.
        expect: regular expression that must match in the string; ^ is its beginning.
        degraded_above: a run that takes longer than this is degraded.
    """

    metrics: ClassVar[_metrics.Metrics] = _metrics.SSH
    by_label: ClassVar[bool] = True
    config_only: ClassVar[tuple[str, ...]] = ("expect",)

    host: str = option(validator=check_host)
    port: int = option(default=22, validator=check_port)
    expect: str | None = option(default=None, validator=check_pattern)
    degraded_above: Seconds | None = None

    def network_host(self, target: Target) -> str:
        """Return the host, without the brackets of an IPv6 address."""
        return bare(self.host)

    async def check(self, target: Target) -> Result:
        """Connect once, read the string, and judge it."""
        here = place(self.host, self.port)
        metrics: dict[str, float] = {}
        dialogue: Dialogue | None = None
        began = time.monotonic()
        try:
            with deadline(self.timeout):
                dialogue = await Dialogue.connect(self.host, self.port, self.timeout)
                metrics["connect_seconds"] = time.monotonic() - began
                banner = await _identification(dialogue)
                took = time.monotonic() - began
                metrics["banner_seconds"] = took - metrics["connect_seconds"]
                await dialogue.send(IDENTIFICATION)
            expected = self.expect is None or await search_text(self.expect, banner)
        except FAILURES as error:
            late = "connection" if dialogue is None else "identification string of SSH"
            return failure(error, here, f"no {late} within {self.timeout:g} s", metrics)
        finally:
            if dialogue is not None:
                dialogue.close()
        version, software, comments = _parts(banner)
        facts = {"protocol_version": version, "software": software, "comments": comments}
        if version not in ("2.0", "1.99"):  # 1.99: also the old protocol (RFC 4253, 5.1)
            bad: str | None = f"the server does not speak SSH 2.0: {quoted(banner)}"
        else:
            bad = None if expected else f"expected {self.expect!r}, got {quoted(banner)}"
        if bad is not None:
            text = f"{here}: {bad}"
            return Result.down(text, latency=took, metrics=metrics, attributes=facts)
        if self.degraded_above is not None and took > self.degraded_above:
            text = f"{here}: slow, {took * 1000:.0f} ms"
            return Result.degraded(text, latency=took, metrics=metrics, attributes=facts)
        text = f"{here} answers: {software}"
        return Result.up(text, latency=took, metrics=metrics, attributes=facts)


async def _identification(dialogue: Dialogue) -> str:
    """Return the identification string; the server may send other lines before it.

    Raises:
        Trouble: there is none among the first lines, or it is too long.
        EOFError, OSError: the connection ended.
    """
    first: str | None = None
    for _ in range(MOST_LINES):
        try:
            line = await dialogue.line()
        except EOFError:
            if first is None:
                raise
            break
        if line.startswith("SSH-"):
            if len(line) > LONGEST:
                raise Trouble(f"the identification string is longer than {LONGEST} characters")
            return line
        first = line if first is None else first
    raise Trouble(f"the server does not speak SSH; it sends {quoted(first or '')}")


def _parts(banner: str) -> tuple[str, str, str]:
    """Return protocol version, software and comments of an identification string."""
    match = re.fullmatch(r"SSH-([^-]*)-(\S*)(?: (.*))?", banner)
    if match is None:
        return "", "", ""
    version, software, comments = match.groups(default="")
    return clean_text(version), clean_text(software), clean_text(comments)


@hookimpl
def tocsin_probes() -> dict[str, type[Probe]]:
    """Register the probe."""
    return {"ssh-banner": SshBannerProbe}

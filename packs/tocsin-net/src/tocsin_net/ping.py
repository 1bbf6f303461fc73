"""The ping probe: ICMP echo over IPv4 and IPv6."""

from __future__ import annotations

import socket
from enum import StrEnum
from statistics import fmean
from typing import ClassVar

from attrs import Attribute, frozen
from attrs import field as option

from tocsin import (
    CheckError,
    Probe,
    Result,
    Seconds,
    Target,
    deadline,
    hookimpl,
    look_up,
    own_shortage,
)
from tocsin_net import _metrics
from tocsin_net._icmp import TOKEN, Echoes, Pinger, said
from tocsin_net._options import bare, check_host
from tocsin_net._trouble import FAILURES, failure

MOST_COUNT = 100
MOST_SIZE = 65507
"""Most bytes of payload that fit into one IPv4 packet."""


class Family(StrEnum):
    """Which addresses of a host are used."""

    ANY = "any"
    IPV4 = "ipv4"
    IPV6 = "ipv6"


_FAMILIES = {
    Family.ANY: socket.AF_UNSPEC,
    Family.IPV4: socket.AF_INET,
    Family.IPV6: socket.AF_INET6,
}


def _check_count(_: object, __: Attribute[int], value: int) -> None:
    if not 1 <= value <= MOST_COUNT:
        raise ValueError(f"count must be from 1 to {MOST_COUNT}")


def _check_size(_: object, __: Attribute[int], value: int) -> None:
    if not TOKEN <= value <= MOST_SIZE:
        raise ValueError(f"size must be from {TOKEN} to {MOST_SIZE} bytes")


def _check_percent(_: object, __: Attribute[float], value: float) -> None:
    if not 0 <= value <= 100:
        raise ValueError("max_loss_percent must be from 0 to 100")


@frozen(kw_only=True)
class PingProbe(Probe):
    """Ping a host: loss and round-trip time, over IPv4 and IPv6, without root.

    Attributes:
        host: host name or address.
        family: any, ipv4 or ipv6.
        count: number of pings in one run, 1 to 100.
        spacing: time between two pings.
        wait: time to wait for answers after the last ping.
        size: bytes of payload in each ping.
        max_loss_percent: a run that loses more pings than this is degraded.
        degraded_above: a mean round-trip time above this is degraded.
    """

    metrics: ClassVar[_metrics.Metrics] = _metrics.PING
    by_label: ClassVar[bool] = True
    config_only: ClassVar[tuple[str, ...]] = ("count", "spacing", "size")

    host: str = option(validator=check_host)
    family: Family = Family.ANY
    count: int = option(default=3, validator=_check_count)
    spacing: Seconds = 0.2
    wait: Seconds = 2
    size: int = option(default=56, validator=_check_size)
    max_loss_percent: float = option(default=50.0, validator=_check_percent)
    degraded_above: Seconds | None = None

    def __attrs_post_init__(self) -> None:
        """Validate what depends on several options."""
        if (self.count - 1) * self.spacing + self.wait > self.timeout:
            raise ValueError(
                f"{self.count} pings every {self.spacing:g} s and a wait of {self.wait:g} s take "
                f"longer than the timeout of {self.timeout:g} s; raise timeout, or lower these"
            )

    def network_host(self, target: Target) -> str:
        """Return the host, without the brackets of an IPv6 address."""
        return bare(self.host)

    async def check(self, target: Target) -> Result:
        """Send the pings of one run and judge the answers."""
        late = f"not all pings could be sent within {self.timeout:g} s"
        try:
            with deadline(self.timeout):
                echoes, address = await self._ping()
        except FAILURES as error:
            return failure(error, self.host, late)
        return self._judge(echoes, address)

    async def _ping(self) -> tuple[Echoes, str]:
        """Ping the first address of the host that can be sent to.

        Raises:
            OSError: there is none.
            CheckError: tocsin may not send pings.
        """
        found = await look_up(
            bare(self.host), 0, family=_FAMILIES[self.family], timeout=self.timeout
        )
        problem: Exception = OSError("the host has no address")
        for family, _, _, _, address in found:
            pinger = Pinger(int(family), address, self.count, self.spacing, self.wait, self.size)
            try:
                await pinger.run()
            except TimeoutError:
                raise
            except (OSError, CheckError) as error:
                if own_shortage(error) is not None:
                    raise
                problem = error
            else:
                return pinger.echoes, str(address[0])
        raise problem

    def _judge(self, echoes: Echoes, address: str) -> Result:
        times = sorted(echoes.seconds.values())
        lost = self.count - len(times)
        metrics = {"loss_percent": 100.0 * lost / self.count}
        facts = {"address": address}
        if not times:
            why = "" if echoes.error is None else f" ({said(echoes.error)})"
            what = "the ping was not answered"
            if self.count > 1:
                what = f"none of {self.count} pings was answered"
            text = f"{self.host}: {what}{why}"
            return Result.down(text, metrics=metrics, attributes=facts)
        mean = fmean(times)
        metrics |= {"rtt_seconds": mean, "rtt_min_seconds": times[0], "rtt_max_seconds": times[-1]}
        if metrics["loss_percent"] > self.max_loss_percent:
            text = f"{self.host}: {lost} of {self.count} pings got no answer"
            return Result.degraded(text, latency=mean, metrics=metrics, attributes=facts)
        if self.degraded_above is not None and mean > self.degraded_above:
            text = f"{self.host}: slow, {mean * 1000:.3g} ms"
            return Result.degraded(text, latency=mean, metrics=metrics, attributes=facts)
        text = f"{self.host} answers in {mean * 1000:.3g} ms"
        return Result.up(text, latency=mean, metrics=metrics, attributes=facts)


@hookimpl
def tocsin_probes() -> dict[str, type[Probe]]:
    """Register the probe."""
    return {"ping": PingProbe}

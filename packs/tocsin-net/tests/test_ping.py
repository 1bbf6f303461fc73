"""The ping probe, in network namespaces of its own where privileges or loss matter."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from tests.servers import program
from tocsin import Status, Target
from tocsin.testing import check_probe_conformance
from tocsin_net._icmp import checksum
from tocsin_net.ping import Family, PingProbe

SCRIPT = """
import asyncio, json, sys
from tocsin import Target
from tocsin_net.ping import PingProbe
result = asyncio.run(PingProbe(**json.loads(sys.argv[1])).check(Target(name="t")))
print(json.dumps([result.status.value, result.message, dict(result.metrics)]))
"""

ALLOW = "echo '0 0' >/proc/sys/net/ipv4/ping_group_range"
DENY = ":"  # as a new namespace is: no group may ping
DROP_INPUT = "iptables -A INPUT -p icmp --icmp-type echo-request"


def inside(options: dict[str, Any], *commands: str, raw: bool) -> tuple[str, str, dict[str, float]]:
    """Run the probe in a new network namespace.

    Args:
        options: options of the probe.
        commands: shell commands that prepare the namespace.
        raw: whether the probe keeps CAP_NET_RAW.
    """
    unshare = program("unshare")
    for needed in ("ip", "iptables", "setpriv"):
        program(needed)
    keeps = "" if raw else "setpriv --bounding-set=-net_raw "
    lines = ["set -e", "ip link set lo up", *commands, f'exec {keeps}"$0" -c "$1" "$2"']
    done = subprocess.run(
        [unshare, "-rn", "sh", "-c", "\n".join(lines), sys.executable, SCRIPT,
         json.dumps({"spacing": 0.01, "wait": 0.3, **options})],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if "unshare" in done.stderr and not os.environ.get("CI"):
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    status, message, metrics = json.loads(done.stdout)
    return status, message, metrics


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost"])
def test_a_host_that_answers_is_up_with_and_without_privileges(host: str, raw: bool) -> None:
    """A raw socket needs CAP_NET_RAW, a datagram socket none; the result is the same."""
    status, message, metrics = inside({"host": host}, DENY if raw else ALLOW, raw=raw)
    assert status == "up", message
    assert message.startswith(f"{host} answers in ")
    assert metrics["loss_percent"] == 0
    assert 0 < metrics["rtt_min_seconds"] <= metrics["rtt_seconds"] <= metrics["rtt_max_seconds"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_without_permission_the_state_is_unknown_and_the_remedy_is_named(host: str) -> None:
    """Neither kind of socket may be opened: that says nothing about the host."""
    status, message, metrics = inside({"host": host}, DENY, raw=False)
    assert status == "unknown"
    assert "net.ipv4.ping_group_range" in message
    assert "CAP_NET_RAW" in message
    assert metrics == {}


@pytest.mark.parametrize("raw", [True, False])
def test_lost_pings_are_counted_and_degrade_above_the_limit(raw: bool) -> None:
    """One of four pings is lost: up or degraded by max_loss_percent."""
    lossy = f"{DROP_INPUT} -m statistic --mode nth --every 4 --packet 1 -j DROP"
    seen = [
        inside({"host": "127.0.0.1", "count": 4, "max_loss_percent": limit}, ALLOW, lossy, raw=raw)
        for limit in (25, 20)
    ]
    assert [status for status, _, _ in seen] == ["up", "degraded"]
    assert [metrics["loss_percent"] for _, _, metrics in seen] == [25, 25]
    assert seen[1][1] == "127.0.0.1: 1 of 4 pings got no answer"


@pytest.mark.parametrize("raw", [True, False])
def test_a_host_that_does_not_answer_is_down(raw: bool) -> None:
    """Silence is down, with what a router reports, if one does."""
    silence = inside({"host": "127.0.0.1"}, ALLOW, f"{DROP_INPUT} -j DROP", raw=raw)
    assert silence == ("down", "127.0.0.1: none of 3 pings was answered", {"loss_percent": 100})
    reject = f"{DROP_INPUT} -j REJECT --reject-with icmp-host-prohibited"
    refused = inside({"host": "127.0.0.1", "count": 1}, ALLOW, reject, raw=raw)
    assert refused[:2] == ("down", "127.0.0.1: the ping was not answered (no route to host)")
    absent = inside({"host": "192.0.2.1"}, ALLOW, raw=raw)
    assert absent[:2] == ("down", "192.0.2.1: there is no route to the host")


def test_a_packet_filter_of_ones_own_is_no_failure_of_the_host() -> None:
    """The kernel refuses to send: unknown."""
    block = "iptables -A OUTPUT -p icmp --icmp-type echo-request -j DROP"
    status, message, _ = inside({"host": "127.0.0.1"}, ALLOW, block, raw=False)
    assert (status, message) == (
        "unknown", "a packet filter of tocsin's own machine blocks pings"
    )  # fmt: skip


def test_a_broadcast_address_is_refused_with_the_remedy() -> None:
    """It names no one host, and the kernel refuses it."""
    status, message, _ = inside(
        {"host": "198.51.100.255"}, ALLOW, "ip addr add 198.51.100.1/24 brd + dev lo",
        raw=False,
    )  # fmt: skip
    assert (status, message) == (
        "unknown", "a broadcast address cannot be pinged; name one host"
    )  # fmt: skip


def test_a_large_ping_is_answered() -> None:
    """A payload that does not fit into one frame is sent and recognized in fragments."""
    for raw in (True, False):
        status, message, _ = inside({"host": "127.0.0.1", "size": 20_001}, ALLOW, raw=raw)
        assert status == "up", message


def _may_ping() -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP).close()
        except PermissionError:
            continue
        return True
    return False


@pytest.mark.skipif(not _may_ping(), reason="this user may not ping")
async def test_it_keeps_to_the_contract() -> None:
    """It passes the suite that tocsin's own probes pass."""
    result = await check_probe_conformance(PingProbe(host="127.0.0.1", spacing=0.01))
    assert result.status is Status.UP, result.message
    assert result.attributes == {"address": "127.0.0.1"}
    slow = PingProbe(host="127.0.0.1", count=1, degraded_above=0.0)
    assert (await slow.check(Target(name="t"))).status is Status.DEGRADED


async def test_a_name_that_does_not_exist_is_down() -> None:
    """Or unknown, if no name server answers; never an exception."""
    result = await PingProbe(host="no.such.host.invalid").check(Target(name="t"))
    assert result.status in (Status.DOWN, Status.UNKNOWN)
    assert "no.such.host.invalid" in result.message or "look up" in result.message
    family = await PingProbe(host="::1", family=Family.IPV4).check(Target(name="t"))
    assert family.message == "::1: the host name cannot be resolved"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"host": "https://example.org"}, "must be only a host name or an address"),
        ({"host": ""}, "must be only a host name or an address"),
        ({"host": "a", "count": 0}, "count must be from 1 to 100"),
        ({"host": "a", "size": 3}, "size must be from 8 to"),
        ({"host": "a", "max_loss_percent": 101.0}, "must be from 0 to 100"),
        ({"host": "a", "count": 100, "spacing": 1.0}, "raise timeout, or lower"),
    ],
)
def test_wrong_options_are_refused_with_the_remedy(options: dict[str, Any], words: str) -> None:
    """Each wrong option is answered in one sentence."""
    with pytest.raises(ValueError, match=words):
        PingProbe(**options)


@pytest.mark.parametrize(
    ("data", "sum_"),
    [(b"\x00\x01\xf2\x03\xf4\xf5\xf6\xf7", 0x220D), (b"", 0xFFFF), (b"\x01", 0xFEFF)],
)
def test_the_checksum_is_that_of_rfc_1071(data: bytes, sum_: int) -> None:
    """The example of RFC 1071, section 3, and the edges."""
    assert checksum(data) == sum_

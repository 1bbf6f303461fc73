"""The dns probe against NSD, and against servers that misbehave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.resolver
import pytest

from tests.servers import free_port
from tocsin import Result, Status, Target
from tocsin_net._dns_records import RecordType
from tocsin_net.dns import DnsProbe

TARGET = Target(name="t")


async def ask(port: int, name: str, kind: str = "A", **options: Any) -> Result:
    """Run the probe once against the server on a port."""
    probe = DnsProbe(
        name=name, record_type=RecordType(kind), port=port,
        **{"servers": ("127.0.0.1",), "timeout": 5, **options},
    )  # fmt: skip
    return await probe.check(TARGET)


@pytest.mark.parametrize(
    ("kind", "name", "expect"),
    [
        ("A", "www.example.test", ("192.0.2.81", "192.0.2.80")),
        ("A", "WWW.Example.TEST.", ("192.0.2.81", "192.0.2.80")),
        ("AAAA", "www.example.test", ("2001:DB8:0::80",)),
        ("CNAME", "alias.example.test", ("www.EXAMPLE.test",)),
        ("MX", "example.test", ("20 mail2.example.test", "10 mail.example.test.")),
        ("NS", "example.test", ("ns1.example.test",)),
        ("TXT", "example.test", ("v=spf1 -all",)),
        ("SRV", "_sip._tcp.example.test", ("10 5 5060 sip.example.test",)),
        ("SOA", "example.test",
         ("ns1.example.test admin.example.test 7 7200 3600 1209600 60",)),
        ("CAA", "example.test", ('0 issue "ca.example.net"',)),
        ("PTR", "192.0.2.80", ("www.example.test",)),
        ("PTR", "80.2.0.192.in-addr.arpa", ("www.example.test",)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("tcp", [False, True])
async def test_every_type_is_asked_for_and_compared(
    name_server: int, kind: str, name: str, expect: tuple[str, ...], tcp: bool
) -> None:
    """All records, in any order and with names in any case, are as expected: up."""
    result = await ask(name_server, name, kind, expect=expect, tcp=tcp)
    assert result.status is Status.UP, result.message
    assert result.metrics["answer_count"] == len(expect)
    assert result.metrics["ttl_seconds"] == (60 if kind == "CNAME" else 300)
    assert result.attributes["transport"] == ("tcp" if tcp else "udp")
    assert result.latency is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"expect": ("192.0.2.80",)}, "'192.0.2.81' is not expected"),
        ({"expect": ("192.0.2.80", "192.0.2.81", "192.0.2.9")}, "'192.0.2.9' is missing; "),
        ({"contains": ("192.0.2.9",)}, "'192.0.2.9' is missing; the answer is '192.0.2.8"),
        ({"nxdomain": True}, "the name exists"),
    ],
)
async def test_an_unexpected_answer_is_down(
    name_server: int, options: dict[str, Any], message: str
) -> None:
    """The message says what is missing or not expected."""
    result = await ask(name_server, "www.example.test", **options)
    assert result.status is Status.DOWN
    assert message in result.message
    assert result.message.startswith(f"A of www.example.test at 127.0.0.1:{name_server}: ")


async def test_some_of_the_records_may_be_enough(name_server: int) -> None:
    """With contains, further records do not matter."""
    result = await ask(name_server, "www.example.test", contains=("192.0.2.80",))
    assert result.status is Status.UP


async def test_the_answer_behind_an_alias_counts_with_the_smallest_ttl(name_server: int) -> None:
    """A CNAME is followed; the lifetime is that of the shortest-lived record on the way."""
    result = await ask(name_server, "alias.example.test", contains=("192.0.2.80",))
    assert result.status is Status.UP, result.message
    assert result.metrics["ttl_seconds"] == 60


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("missing.example.test", "A", "there is no such name"),
        ("mail.example.test", "AAAA", "the name has no AAAA record"),
        ("www.broken.test", "A", "the server answers SERVFAIL"),
        ("www.other.test", "A", "the server answers REFUSED"),
    ],
)
async def test_no_answer_records_is_down(
    name_server: int, name: str, kind: str, message: str
) -> None:
    """Each kind of negative answer has its own sentence."""
    result = await ask(name_server, name, kind)
    assert result.status is Status.DOWN
    assert result.message.endswith(message)
    assert result.metrics["answer_count"] == 0


async def test_a_name_that_must_not_exist(name_server: int) -> None:
    """With nxdomain, absence is up; a server that fails proves nothing."""
    absent = await ask(name_server, "missing.example.test", nxdomain=True)
    assert absent.status is Status.UP
    failing = await ask(name_server, "www.broken.test", nxdomain=True)
    assert failing.status is Status.DOWN


async def test_a_truncated_answer_is_fetched_over_tcp(name_server: int) -> None:
    """Thirty long records do not fit into a datagram."""
    result = await ask(name_server, "large.example.test", "TXT")
    assert result.status is Status.UP, result.message
    assert result.metrics["answer_count"] == 30
    assert result.attributes["transport"] == "tcp"
    assert len(result.attributes["answers"]) == 20


async def test_every_server_has_to_answer(name_server: int) -> None:
    """Degraded if one of them does not, down if none does."""
    both = await ask(name_server, "www.example.test", servers=("127.0.0.1", "::1"))
    assert both.status is Status.UP, both.message
    one = await ask(name_server, "www.example.test", servers=("127.0.0.1", "127.0.0.2"), timeout=1)
    assert one.status is Status.DEGRADED
    assert "127.0.0.2" in one.message
    assert "no answer within 0.9 s" in one.message
    assert one.metrics["answer_count"] == 2
    none = await ask(name_server, "www.example.test", servers=("127.0.0.2", "127.0.0.3"), tcp=True)
    assert none.status is Status.DOWN
    assert none.message.endswith("the connection was refused")


async def test_slow_is_degraded(name_server: int) -> None:
    """An answer above degraded_above is degraded."""
    result = await ask(name_server, "www.example.test", degraded_above=0.0)
    assert result.status is Status.DEGRADED


async def test_a_server_by_name_is_looked_up(name_server: int) -> None:
    """A name in the hosts file will do; one that does not exist is down or unknown."""
    result = await ask(name_server, "www.example.test", servers=("localhost",))
    assert result.status is Status.UP, result.message
    absent = await ask(name_server, "www.example.test", servers=("no.such.host.invalid",))
    assert absent.status in (Status.DOWN, Status.UNKNOWN)


async def test_aliases_in_a_circle_are_down(name_server: int) -> None:
    """A name server may serve such a zone; the probe does not run in circles."""
    result = await ask(name_server, "loop.example.test")
    assert result.status is Status.DOWN
    assert result.message.endswith(("contradicts itself", "the name has no A record"))


def _system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "resolv.conf"
    if text is not None:
        file.write_text(text)
    real = dns.resolver.Resolver.read_resolv_conf
    monkeypatch.setattr(
        dns.resolver.Resolver, "read_resolv_conf", lambda self, _: real(self, str(file))
    )


async def test_the_machines_own_name_servers_are_asked(
    name_server: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without servers, those of resolv.conf are asked one after the other."""
    _system(monkeypatch, tmp_path, "nameserver 127.0.0.2\nnameserver 127.0.0.1\n")
    result = await ask(name_server, "www.example.test", servers=(), timeout=2)
    assert result.status is Status.UP, result.message
    refusing = await ask(name_server, "www.other.test", servers=(), timeout=2)
    assert refusing.message == "A of www.other.test: the server answers REFUSED"


async def test_without_a_name_server_of_ones_own_the_state_is_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No resolver says nothing about the name."""
    _system(monkeypatch, tmp_path, "nameserver 127.0.0.2\n")
    result = await ask(free_port(), "www.example.test", servers=(), timeout=1)
    assert result.status is Status.UNKNOWN
    assert "no name server of /etc/resolv.conf answers (127.0.0.2)" in result.message
    monkeypatch.undo()
    _system(monkeypatch, tmp_path / "absent", None)
    missing = await ask(53, "www.example.test", servers=())
    assert missing.status is Status.UNKNOWN
    assert "set servers" in missing.message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "a..b"}, "name is not a host name or address"),
        ({"name": "x" * 64 + ".test"}, "name is not a host name or address"),
        ({"name": "a", "expect": ("nonsense",)}, "is not the content of a record of type A"),
        ({"name": "a", "record_type": RecordType.MX, "contains": ("mail",)}, "'10 mail.example"),
        ({"name": "a", "servers": ("1.2.3.4:53",)}, "their port goes into port"),
        ({"name": "a", "servers": ("a",) * 9}, "at most 8"),
        ({"name": "a", "port": 0}, "port must be from 1 to 65535"),
        ({"name": "a", "nxdomain": True, "expect": ("192.0.2.1",)}, "cannot be combined"),
    ],
)
def test_wrong_options_are_refused_with_the_remedy(options: dict[str, Any], words: str) -> None:
    """Each wrong option is answered in one sentence."""
    with pytest.raises(ValueError, match=words):
        DnsProbe(**options)


def test_the_host_that_the_uplink_is_judged_by() -> None:
    """The servers if any are given, else the name."""
    assert DnsProbe(name="a.test").network_host(TARGET) == ("a.test",)
    several = DnsProbe(name="a.test", servers=("[::1]", "192.0.2.1"))
    assert several.network_host(TARGET) == ("::1", "192.0.2.1")

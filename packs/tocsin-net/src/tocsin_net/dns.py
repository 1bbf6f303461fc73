"""The dns probe: ask name servers for records and compare the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

import dns.exception
import dns.rcode
import dns.resolver
from attrs import Attribute, frozen
from attrs import field as option

from tocsin import Probe, Result, Seconds, Status, Target, deadline, hookimpl, own_shortage
from tocsin_net import _metrics
from tocsin_net._dns_query import Answer, Question, ask
from tocsin_net._dns_records import RecordType, keyed, question, wanted
from tocsin_net._options import bare, check_port, place
from tocsin_net._trouble import FAILURES, Trouble, failure

MOST_SERVERS = 8
MOST_SHOWN = 20
"""Most answers that are kept as attributes."""


def _check_servers(_: object, __: Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    if len(value) > MOST_SERVERS:
        raise ValueError(f"servers must be at most {MOST_SERVERS}")
    for one in value:
        if not one or any(c.isspace() or c in "/@" for c in one) or one.count(":") == 1:
            raise ValueError(
                "servers must be names or addresses of name servers; their port goes into port"
            )


@frozen(kw_only=True)
class DnsProbe(Probe):
    """Ask name servers for a record, and compare the answer with what is expected.

    Attributes:
        name: absolute name to ask for; for PTR, an address will do.
        record_type: A, AAAA, CAA, CNAME, MX, NS, PTR, SOA, SRV or TXT.
        servers: name servers that all have to answer; unset: those of /etc/resolv.conf, of which
            one has to.
        port: port of the servers.
        tcp: whether to use TCP from the start and not only for answers that UDP truncates.
        recursive: whether to ask for recursion; false for servers that only serve their zones.
        expect: exactly these records have to come, in any order.
        contains: at least these records have to come.
        nxdomain: whether the name must not exist.
        degraded_above: an answer slower than this is degraded.
    """

    metrics: ClassVar[_metrics.Metrics] = _metrics.DNS
    by_label: ClassVar[bool] = True

    name: str
    record_type: RecordType = RecordType.A
    servers: tuple[str, ...] = option(default=(), validator=_check_servers)
    port: int = option(default=53, validator=check_port)
    tcp: bool = False
    recursive: bool = True
    expect: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    nxdomain: bool = False
    degraded_above: Seconds | None = None

    def __attrs_post_init__(self) -> None:
        """Validate what depends on the type of the record."""
        question(self.name, self.record_type)
        for one in (*self.expect, *self.contains):
            wanted(one, self.record_type)
        if self.nxdomain and (self.expect or self.contains):
            raise ValueError("nxdomain cannot be combined with expect or contains; remove one")

    def network_host(self, target: Target) -> tuple[str, ...]:
        """Return the servers; if none is given, the name, whose servers are asked for it."""
        return tuple(map(bare, self.servers)) or (self.name,)

    async def check(self, target: Target) -> Result:
        """Ask the servers and judge their answers."""
        asked = Question(
            question(self.name, self.record_type), self.record_type.number, self.recursive,
            self.tcp, self.timeout,
        )  # fmt: skip
        late = f"no answer within {self.timeout:g} s"
        try:
            with deadline(self.timeout):
                if self.servers:
                    each = [self._one(asked, server) for server in self.servers]
                    return _combined(await asyncio.gather(*each))
                return await self._system(asked)
        except FAILURES as error:
            return failure(error, self._what(), late)

    async def _one(self, asked: Question, server: str) -> Result:
        """Ask one server and judge its answer."""
        here = f"{self._what()} at {place(server, self.port) if self.port != 53 else server}"
        # A little less than the timeout, so that the other servers' answers are not lost with it.
        patience = self.timeout * 0.9
        began = time.monotonic()
        try:
            with deadline(patience):
                answer = await ask(asked, server, self.port, patience)
        except FAILURES as error:
            return failure(error, here, f"no answer within {patience:g} s")
        return self._judge(answer, here, time.monotonic() - began)

    async def _system(self, asked: Question) -> Result:
        """Ask the servers of /etc/resolv.conf, one after the other, until one answers."""
        try:
            resolver = dns.resolver.Resolver()
        except (dns.resolver.NoResolverConfiguration, OSError) as error:
            return Result.unknown(
                own_shortage(error)
                or "/etc/resolv.conf names no name servers; write them there, or set servers"
            )
        servers = [str(one) for one in resolver.nameservers][:MOST_SERVERS]
        refused: Result | None = None
        for server in servers:
            began = time.monotonic()
            try:
                with deadline(0.9 * self.timeout / len(servers)):
                    answer = await ask(asked, server, self.port, 0.9 * self.timeout / len(servers))
            except FAILURES as error:
                if (lack := own_shortage(error)) is not None:
                    return Result.unknown(lack)
                continue
            result = self._judge(answer, self._what(), time.monotonic() - began)
            if answer.rcode in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                return result
            refused = refused or result
        return refused or Result.unknown(
            f"{self._what()}: no name server of /etc/resolv.conf answers ({', '.join(servers)})"
        )

    def _judge(self, answer: Answer, here: str, took: float) -> Result:
        metrics = {"answer_count": 0.0}
        facts: dict[str, object] = {"transport": "tcp" if answer.tcp else "udp"}
        code = dns.rcode.to_text(answer.rcode)
        facts["rcode"] = code
        try:
            chain = answer.message.resolve_chaining()
        except dns.exception.DNSException as error:
            return failure(Trouble("the answer contradicts itself"), here, str(error))
        records: dict[bytes, str] = {}
        for record in () if chain.answer is None else chain.answer:
            records |= keyed(record)
        metrics["answer_count"] = float(len(records))
        if records:
            metrics["ttl_seconds"] = float(chain.minimum_ttl)
        facts["answers"] = sorted(records.values())[:MOST_SHOWN]
        wrong = self._wrong(answer, records, code)
        if wrong is not None:
            return Result.down(f"{here}: {wrong}", latency=took, metrics=metrics, attributes=facts)
        if self.degraded_above is not None and took > self.degraded_above:
            text = f"{here}: slow, {took * 1000:.0f} ms"
            return Result.degraded(text, latency=took, metrics=metrics, attributes=facts)
        text = f"{here}: {len(records)} record{'' if len(records) == 1 else 's'}"
        if self.nxdomain:
            text = f"{here} does not exist, as expected"
        return Result.up(text, latency=took, metrics=metrics, attributes=facts)

    def _wrong(self, answer: Answer, got: Mapping[bytes, str], code: str) -> str | None:
        """Return what is wrong with an answer, as a clause; None: nothing."""
        if self.nxdomain:
            if answer.rcode == dns.rcode.NXDOMAIN:
                return None
            exists = answer.rcode == dns.rcode.NOERROR
            return "the name exists" if exists else f"the server answers {code}"
        if answer.rcode == dns.rcode.NXDOMAIN:
            return "there is no such name"
        if answer.rcode != dns.rcode.NOERROR:
            return f"the server answers {code}"
        if not got:
            return f"the name has no {self.record_type} record"
        return self._differs(got)

    def _differs(self, got: Mapping[bytes, str]) -> str | None:
        exact, needed = (
            {k: v for one in records for k, v in wanted(one, self.record_type).items()}
            for records in (self.expect, self.contains)
        )
        if missing := [text for key, text in (exact | needed).items() if key not in got]:
            return f"{_list(missing)} is missing; the answer is {_list(list(got.values()))}"
        more = [text for key, text in got.items() if key not in exact]
        return f"{_list(more)} is not expected" if exact and more else None

    def _what(self) -> str:
        return f"{self.record_type} of {self.name}"


def _combined(results: Sequence[Result]) -> Result:
    """Return the result of all servers: degraded if only some answer as expected."""
    good = [one for one in results if one.status in (Status.UP, Status.DEGRADED)]
    bad = [one for one in results if one.status is Status.DOWN]
    unseen = [one for one in results if one.status is Status.UNKNOWN]
    slowest = max(good, key=lambda one: one.latency or 0.0, default=None)
    if slowest is None:
        return next(iter(unseen or bad))
    if bad or unseen:
        first = (bad or unseen)[0]
        rest = len(bad) + len(unseen) - 1
        text = first.message + (f" (and {rest} more of {len(results)} servers)" if rest else "")
        return Result.degraded(
            text, latency=slowest.latency, metrics=slowest.metrics, attributes=slowest.attributes
        )
    return next((one for one in good if one.status is Status.DEGRADED), slowest)


def _list(records: Sequence[str]) -> str:
    more = f" and {len(records) - 3} more" if len(records) > 3 else ""
    return ", ".join(f"'{one[:80]}'" for one in records[:3]) + more


@hookimpl
def tocsin_probes() -> dict[str, type[Probe]]:
    """Register the probe."""
    return {"dns": DnsProbe}

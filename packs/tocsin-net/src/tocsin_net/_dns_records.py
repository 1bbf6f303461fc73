"""DNS records as people write them in options, and as messages show them."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_address

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.reversename
from dns.rdtypes.ANY.TXT import TXT

from tocsin import clean_text, decode_text

_IN = dns.rdataclass.IN


class RecordType(StrEnum):
    """Types of records that can be asked for."""

    A = "A"
    AAAA = "AAAA"
    CAA = "CAA"
    CNAME = "CNAME"
    MX = "MX"
    NS = "NS"
    PTR = "PTR"
    SOA = "SOA"
    SRV = "SRV"
    TXT = "TXT"

    @property
    def number(self) -> dns.rdatatype.RdataType:
        """The number of the type (RFC 1035, 3.2.2)."""
        return dns.rdatatype.from_text(self.value)


_EXAMPLES = {
    RecordType.A: "192.0.2.1",
    RecordType.AAAA: "2001:db8::1",
    RecordType.CAA: '0 issue "ca.example.net"',
    RecordType.CNAME: "www.example.org",
    RecordType.MX: "10 mail.example.org",
    RecordType.NS: "ns1.example.org",
    RecordType.PTR: "host.example.org",
    RecordType.SOA: "ns1.example.org admin.example.org 1 7200 3600 1209600 3600",
    RecordType.SRV: "10 5 5060 sip.example.org",
}


def question(name: str, record_type: RecordType) -> dns.name.Name:
    """Return the name to ask for; of an address, for PTR, its name in the reverse tree.

    Raises:
        ValueError: the name is none.
    """
    try:
        if record_type is RecordType.PTR:
            try:
                return dns.reversename.from_address(str(ip_address(name)))
            except ValueError:
                pass  # it is a name
        found = dns.name.from_text(name)
        found.to_wire()
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"name is not a host name or address: {error}") from None
    return found


def wanted(text: str, record_type: RecordType) -> dict[bytes, str]:
    """Return a record from an option as :func:`keyed` returns those of an answer.

    Names are absolute; a TXT record is its text without quotation marks.

    Raises:
        ValueError: the text is no record of that type.
    """
    if record_type is RecordType.TXT:
        return {text.encode(): text}
    try:
        record = dns.rdata.from_text(
            _IN, record_type.number, text, origin=dns.name.root, relativize=False
        )
    except (dns.exception.DNSException, ValueError):
        raise ValueError(
            f"{text!r} is not the content of a record of type {record_type}; write it as in "
            f"{_EXAMPLES[record_type]!r}"
        ) from None
    return keyed(record)


def keyed(record: dns.rdata.Rdata) -> dict[bytes, str]:
    """Return a record's content for people, under a key that equal records have in common.

    The key is the canonical form of RFC 4034, 6.2, in which the case of names does not matter; of
    a TXT record, its strings put together, since where they are divided does not matter either.
    """
    if isinstance(record, TXT):
        joined = b"".join(record.strings)
        return {joined: clean_text(decode_text(joined), longest=200)}
    key = record.to_digestable(dns.name.root)
    return {key: clean_text(record.to_text(), longest=200)}

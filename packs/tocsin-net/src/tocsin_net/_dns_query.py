"""Sends one question to one name server: over UDP, and over TCP if the answer is truncated."""

from __future__ import annotations

import dns.asyncbackend
import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
from attrs import frozen

from tocsin import look_up
from tocsin_net._options import bare
from tocsin_net._trouble import Trouble

TRIES = 3
"""How often a question is sent over UDP: a lost packet says nothing about the server."""

PAYLOAD = 1232
"""Size of answer over UDP that is asked for: https://www.dnsflagday.net/2020/."""


@frozen
class Question:
    """What is asked.

    Attributes:
        name: absolute name.
        kind: type of the records.
        recursive: whether the server is asked to ask others.
        tcp: whether to use TCP from the start.
        timeout: timeout of the check in seconds.
    """

    name: dns.name.Name
    kind: dns.rdatatype.RdataType
    recursive: bool
    tcp: bool
    timeout: float


@frozen
class Answer:
    """What a server answered.

    Attributes:
        message: the answer.
        tcp: whether it came over TCP.
    """

    message: dns.message.QueryMessage
    tcp: bool

    @property
    def rcode(self) -> dns.rcode.Rcode:
        """The response code (RFC 1035, 4.1.1)."""
        return self.message.rcode()


async def ask(question: Question, server: str, port: int, patience: float) -> Answer:
    """Ask a server.

    Args:
        question: what to ask.
        server: its name or address.
        port: its port.
        patience: seconds to wait for the answer.

    Raises:
        Trouble: the answer is not valid, or came only in part.
        TimeoutError: there is no answer.
        OSError: it cannot be asked, or its name cannot be looked up.
        UnicodeError: its name is malformed.
    """
    found = await look_up(bare(server), port, timeout=question.timeout)
    problem = OSError("the server has no address")
    for *_, address in found:
        try:
            return await _exchange(question, str(address[0]), port, patience)
        except TimeoutError:
            raise
        except OSError as error:  # perhaps of another family, or refused there
            problem = error
    raise problem


async def _exchange(question: Question, address: str, port: int, patience: float) -> Answer:
    tries = 1 if question.tcp else TRIES
    for _ in range(tries):
        try:
            return await _once(question, address, port, patience / tries)
        except dns.exception.Timeout:
            continue
        except EOFError as error:
            raise Trouble("the connection was closed before the answer was complete") from error
        except (dns.exception.DNSException, ValueError) as error:
            raise Trouble("the answer is not valid DNS") from error
    raise TimeoutError


async def _once(question: Question, address: str, port: int, seconds: float) -> Answer:
    query = dns.message.make_query(
        question.name, question.kind, use_edns=0, payload=PAYLOAD,
        flags=dns.flags.RD if question.recursive else 0,
    )  # fmt: skip
    backend = dns.asyncbackend.get_backend("asyncio")
    if question.tcp:
        message = await dns.asyncquery.tcp(query, address, seconds, port, backend=backend)
        over_tcp = True
    else:
        try:
            message, over_tcp = await dns.asyncquery.udp_with_fallback(
                query, address, seconds, port, backend=backend, ignore_unexpected=True
            )
        except ConnectionRefusedError as error:
            if isinstance(error.__context__, dns.message.Truncated):
                raise Trouble(
                    "the answer over UDP is truncated, and TCP, over which it has to be asked for "
                    "again, is refused"
                ) from error
            raise
    if not isinstance(message, dns.message.QueryMessage):
        raise Trouble("the answer is not valid DNS")
    return Answer(message, over_tcp)

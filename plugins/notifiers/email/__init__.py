"""The email notifier: sends HTML and text, with the status of the whole system, by SMTP."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import ClassVar
from uuid import UUID

import aiosmtplib
from attrs import define, field, frozen

from tocsin import (
    Context,
    Message,
    Notifier,
    NotifierRuntime,
    NotifyError,
    Receipt,
    Secret,
    Severity,
    Variable,
    clean_text,
    hookimpl,
)
from tocsin.plugins.notifiers.email.compose import check_address, compose, layout, sender_for

MAX_PORT = 65535

LEAVE = 2.0
"""Seconds to wait for the server's answer to QUIT."""

OWN_NAME = 1.0
"""Seconds to wait for the full name of this host."""


class Security(StrEnum):
    """How the connection is encrypted. ``auto``: implicit TLS on port 465; otherwise STARTTLS if
    the server offers it, and without encryption no password is sent."""

    AUTO = "auto"
    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


def _check_host(_: object, __: object, host: str) -> None:
    if not host or any(c.isspace() or not c.isprintable() or c in "/@" for c in host):
        raise ValueError("must be the name or address of a mail server")
    if ":" in host and not _is_address(host):
        raise ValueError(
            "must be only a name or address; the port goes into port (SMTP_PORT), and an IPv6 "
            "address has no brackets"
        )


def _check_port(_: object, __: object, port: int) -> None:
    if not 1 <= port <= MAX_PORT:
        raise ValueError(f"must be from 1 to {MAX_PORT}")


def _check_to(_: object, __: object, to: tuple[str, ...]) -> None:
    if not to:
        raise ValueError('must have at least one address, such as ["admin@example.org"]')
    for address in to:
        check_address(address)


def _check_sender(_: object, __: object, sender: str | None) -> None:
    if sender is not None:
        check_address(sender)


class _OwnName:
    """The full name of this host, which identifies it to a mail server (EHLO). The lookup may
    block, so that it runs in a separate thread; until it succeeds, the short name is used."""

    def __init__(self) -> None:
        self._found = ""
        self._asked = False

    async def get(self) -> str:
        """Return the full name, or the short one if the lookup takes longer than OWN_NAME."""
        if not self._asked:
            with suppress(RuntimeError):  # no thread can be started: the next mail tries again
                threading.Thread(target=self._look_up, daemon=True).start()
                self._asked = True
        for _ in range(20):
            if self._found or not self._asked:
                break
            await asyncio.sleep(OWN_NAME / 20)
        return self._found or socket.gethostname()

    def _look_up(self) -> None:
        self._found = socket.getfqdn()


@frozen(kw_only=True)
class EmailNotifier(Notifier):
    """Send mail: critical alerts at once, the others collected in a summary.

    Attributes:
        host: the mail server.
        port: its port: 587 (submission), 465 (implicit TLS) or 25.
        to: addresses of the recipients.
        sender: address of the sender; unset: the user, or tocsin at this host.
        user: user name for the login.
        password: password for the login; an app password if the provider uses such.
        security: auto, starttls, tls or none.
        verify: check the server's certificate.
        ca_file: file of certificates to trust in addition to the system's.
    """

    min_severity = Severity.CRITICAL
    batch = 300.0
    log_lines = 100
    wants_system = True
    environment: ClassVar[Mapping[str, Variable]] = {
        "host": Variable("SMTP_HOST"),
        "to": Variable("ADMIN_EMAIL"),
        "port": Variable("SMTP_PORT", only_with="host"),
        "user": Variable("SMTP_USER", only_with="host"),
        "password": Variable("SMTP_PASSWORD", only_with="host"),
        "sender": Variable("SMTP_FROM", only_with="host"),
        "security": Variable("SMTP_SECURITY", only_with="host"),
    }

    host: str = field(validator=_check_host)
    port: int = field(default=587, validator=_check_port)
    to: tuple[str, ...] = field(validator=_check_to)
    sender: str | None = field(default=None, validator=_check_sender)
    user: str | None = None
    password: Secret | None = None
    security: Security = Security.AUTO
    verify: bool = True
    ca_file: str | None = None

    def __attrs_post_init__(self) -> None:
        layout()  # now, since there may be no free file descriptor when a mail is sent
        with suppress(OSError, ssl.SSLError):  # reported when a mail is sent
            _tls(self.verify, self.ca_file, _changed(self.ca_file))

    async def open(self, context: Context) -> EmailChannel:
        """Return what sends the mails."""
        return EmailChannel(self)


@define(eq=False)
class EmailChannel(NotifierRuntime):
    """Sends the mails of one channel.

    Attributes:
        options: its options.
    """

    options: EmailNotifier
    _taken: dict[UUID, set[str]] = field(init=False, factory=dict)
    """By message: the recipients that have it already, while others do not."""
    _own_name: _OwnName = field(init=False, factory=_OwnName)

    async def send(self, message: Message) -> Receipt:
        """Send a message to the recipients that do not have it yet. Raises NotifyError."""
        options = self.options
        sender = options.sender or sender_for(options.user)
        mail = compose(message, sender, options.to)
        taken = self._taken.get(message.id, set())
        left = [address for address in options.to if address not in taken]
        try:
            async with asyncio.timeout(options.timeout):
                refused = await self._deliver(mail.as_bytes(), sender, left)
        except TimeoutError:
            raise NotifyError(
                f"the mail server {options.host} gave no answer within {options.timeout:g} s"
            ) from None
        temporary = {a: r for a, r in refused.items() if r.code < 500}
        if temporary:
            self._taken[message.id] = {*taken, *(a for a in left if a not in refused)}
            while len(self._taken) > 100:
                del self._taken[next(iter(self._taken))]
            raise NotifyError("; ".join(_refusal(a, r) for a, r in temporary.items()))
        self._taken.pop(message.id, None)
        names = ", ".join(address for address in options.to if address not in refused)
        answer = f"{options.host} accepted it for {names}"
        if refused:
            answer += "; " + "; ".join(_refusal(a, r) for a, r in refused.items())
        return Receipt(answer=answer, reference=message.thread or str(mail["Message-ID"]))

    async def _deliver(
        self, raw: bytes, sender: str, to: list[str]
    ) -> dict[str, aiosmtplib.SMTPResponse]:
        """Run an SMTP session and return the refused recipients. Raises NotifyError."""
        options = self.options
        at_once = options.security == Security.TLS or (
            options.security == Security.AUTO and options.port == 465
        )
        try:
            context = _tls(options.verify, options.ca_file, _changed(options.ca_file))
        except (OSError, ssl.SSLError) as error:
            raise NotifyError(
                f"ca_file {options.ca_file} cannot be used: {error}",
                permanent=True,
                everything=True,
            ) from None
        own = await self._own_name.get()  # the library would look it up in asyncio's shared threads
        client = aiosmtplib.SMTP(
            hostname=options.host, port=options.port, use_tls=at_once, start_tls=False,
            tls_context=context, timeout=options.timeout,
            local_hostname=own,
        )  # fmt: skip
        try:
            await client.connect()
            client.local_hostname = _greeting(own, client)
            try:
                if not at_once and options.security != Security.NONE:
                    await self._secure(client, context)
                if options.user is not None and options.password is not None:
                    await client.login(options.user, options.password.reveal())
                refused, _ = await client.sendmail(sender, to, raw)
                await _take_leave(client)
            finally:
                client.close()
        except aiosmtplib.SMTPRecipientsRefused as error:
            responses = [
                (r.recipient, aiosmtplib.SMTPResponse(r.code, r.message)) for r in error.recipients
            ]
            text = "; ".join(_refusal(a, r) for a, r in responses)
            final = all(r.code >= 500 for _, r in responses)
            raise NotifyError(text, permanent=final, everything=final) from None
        except aiosmtplib.SMTPAuthenticationError as error:
            raise NotifyError(
                f"{options.host} refused the login ({error.code}); check user and password, "
                "and whether it wants an app password",
                permanent=error.code >= 500,
                everything=True,
            ) from None
        except aiosmtplib.SMTPResponseException as error:
            said = _in_a_line(error.message)
            raise NotifyError(
                f"{options.host} answered {error.code}: {said}",
                permanent=error.code >= 500,
                everything=isinstance(error, aiosmtplib.SMTPSenderRefused),
                answered=isinstance(error, aiosmtplib.SMTPDataError),
            ) from None
        except ssl.SSLError as error:
            raise _untrusted(options.host, error) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            if isinstance(error.__cause__, ssl.SSLError):
                raise _untrusted(options.host, error.__cause__) from None
            raise NotifyError(
                f"{options.host}:{options.port} cannot be used: {_in_a_line(str(error))}"
            ) from None
        return refused

    async def _secure(self, client: aiosmtplib.SMTP, context: ssl.SSLContext) -> None:
        options = self.options
        try:
            await client.ehlo()
        except aiosmtplib.SMTPHeloError as error:
            if error.code < 500:
                raise
            await client.helo()  # the server supports no extensions
        if client.supports_extension("starttls"):
            await client.starttls(tls_context=context)
            return
        if options.security == Security.STARTTLS:
            raise NotifyError(
                f"{options.host} offers no STARTTLS; set security = 'tls' if it uses implicit TLS",
                permanent=True,
                everything=True,
            )
        if options.password is not None and not _local(options.host):
            raise NotifyError(
                f"{options.host} offers no STARTTLS, and the password is not sent in the clear; "
                "set security = 'tls', or 'none' to send it anyway",
                permanent=True,
                everything=True,
            )


def _greeting(own: str, client: aiosmtplib.SMTP) -> str:
    """Return the name for EHLO: the full name of this host, or its address (RFC 5321, 4.1.3) if
    other hosts cannot look up the name (in a container), or it is "localhost", which many refuse.
    """
    name = own.rstrip(".")
    if "." in name and name.partition(".")[0] != "localhost" and not name.endswith(".localdomain"):
        return name
    local = client.transport and client.transport.get_extra_info("sockname")
    if not isinstance(local, tuple):
        return own
    address = str(local[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _changed(file: str | None) -> float:
    return 0.0 if file is None else Path(file).stat().st_mtime


@lru_cache(maxsize=16)
def _tls(verify: bool, ca_file: str | None, changed: float) -> ssl.SSLContext:
    """Return a client context. Making one reads all certificates of the system, which takes tens of
    milliseconds, so that it is kept until ``ca_file`` changes."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _take_leave(client: aiosmtplib.SMTP) -> None:
    """Send QUIT. Errors are ignored, since the server has already accepted the mail."""
    with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        async with asyncio.timeout(LEAVE):
            await client.quit()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _untrusted(host: str, error: ssl.SSLError) -> NotifyError:
    why = getattr(error, "verify_message", "") or error.reason or "the TLS connection failed"
    if why == "WRONG_VERSION_NUMBER":
        why = "the port does not use implicit TLS"
    return NotifyError(f"{host}: {_in_a_line(str(why))}; see security, ca_file and verify")


def _refusal(address: str, response: aiosmtplib.SMTPResponse) -> str:
    return f"refused for {address}: {response.code} {_in_a_line(response.message)}"


def _in_a_line(text: str) -> str:
    return clean_text(" ".join(text.split()), longest=240)


@hookimpl
def tocsin_notifiers() -> dict[str, type[Notifier]]:
    """Announce the notifier."""
    return {"email": EmailNotifier}

"""The email notifier: sends HTML and text, with the status of the whole system, by SMTP."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import ClassVar
from uuid import UUID

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
    hookimpl,
)
from tocsin.plugins.notifiers.email.compose import check_address, compose, layout, sender_for
from tocsin.plugins.notifiers.email.smtp import OwnName, Security, deliver, refusal, tls_context

MAX_PORT = 65535


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
            tls_context(self.verify, self.ca_file)

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
    _own_name: OwnName = field(init=False, factory=OwnName)

    async def send(self, message: Message) -> Receipt:
        """Send a message to the recipients that do not have it yet. Raises NotifyError."""
        options = self.options
        sender = options.sender or sender_for(options.user)
        mail = compose(message, sender, options.to)
        taken = self._taken.get(message.id, set())
        left = [address for address in options.to if address not in taken]
        try:
            async with asyncio.timeout(options.timeout):
                own = await self._own_name.get()
                refused = await deliver(options, own, mail.as_bytes(), sender, left)
        except TimeoutError:
            raise NotifyError(
                f"the mail server {options.host} gave no answer within {options.timeout:g} s"
            ) from None
        temporary = {a: r for a, r in refused.items() if r.code < 500}
        if temporary:
            self._taken[message.id] = {*taken, *(a for a in left if a not in refused)}
            while len(self._taken) > 100:
                del self._taken[next(iter(self._taken))]
            raise NotifyError("; ".join(refusal(a, r) for a, r in temporary.items()))
        self._taken.pop(message.id, None)
        names = ", ".join(address for address in options.to if address not in refused)
        answer = f"{options.host} accepted it for {names}"
        if refused:
            answer += "; " + "; ".join(refusal(a, r) for a, r in refused.items())
        return Receipt(answer=answer, reference=message.thread or str(mail["Message-ID"]))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@hookimpl
def tocsin_notifiers() -> dict[str, type[Notifier]]:
    """Announce the notifier."""
    return {"email": EmailNotifier}

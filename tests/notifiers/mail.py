"""A real SMTP server (aiosmtpd) in the test's own loop."""

from __future__ import annotations

import asyncio
import ssl
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class MailServer:
    """Keeps what it accepts. ``refuse``: answers by recipient; ``on_data``: answers to the next
    messages; ``sessions``: whether each came over TLS and logged in; ``quits``: how many ended in
    order; ``names``: what clients call themselves."""

    def __init__(self, directory: Path) -> None:
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.quits = 0
        self.names: list[str] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.sessions: list[tuple[bool, bool]] = []
        self.refuse: dict[str, str] = {}
        self.on_data: list[str] = []
        self.port = 0
        authority = trustme.CA()
        self.ca_file = str(directory / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost", "127.0.0.1").configure_cert(self.context)
        self._server: asyncio.Server | None = None

    async def start(
        self, *, starttls: bool = False, tls: bool = False, auth: bool = False, old: bool = False
    ) -> None:
        def authenticate(_: Any, __: Any, ___: Any, mechanism: str, data: Any) -> AuthResult:
            right = isinstance(data, LoginPassword) and data.password == b"hunter2-app-password"
            return AuthResult(success=right, handled=False)

        class Old(SMTP):
            """It knows no extensions."""

            async def smtp_EHLO(self, _hostname: str) -> None:  # noqa: N802 - aiosmtpd's name
                await self.push("502 Error: command not implemented")

        def make() -> SMTP:
            return (Old if old else SMTP)(
                self, hostname="mail.test", loop=asyncio.get_running_loop(),
                tls_context=self.context if starttls else None, require_starttls=starttls,
                auth_required=auth, auth_require_tls=starttls, authenticator=authenticate,
            )  # fmt: skip

        self._server = await asyncio.get_running_loop().create_server(
            make, "127.0.0.1", 0, ssl=self.context if tls else None
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, peer: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.on_data:
            return self.on_data.pop(0)
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.raw.append(envelope.content)
        self.envelopes.append((str(envelope.mail_from), list(envelope.rcpt_tos)))
        assert peer.transport is not None
        over_tls = peer.transport.get_extra_info("ssl_object") is not None
        self.sessions.append((over_tls, bool(session.authenticated)))
        self.names.append(str(session.host_name))
        return "250 OK"

    async def handle_QUIT(self, _: SMTP, __: Session, ___: Envelope) -> str:  # noqa: N802
        self.quits += 1
        return "221 Bye"

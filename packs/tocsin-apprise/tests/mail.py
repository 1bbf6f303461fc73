"""A mail server (aiosmtpd) in the test's own loop."""

from __future__ import annotations

import asyncio
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from attrs import define, field


@define(eq=False)
class MailServer:
    """Keeps the mails that it takes.

    Attributes:
        mails: mails and their recipients.
        refuse: answers by recipient.
        on_data: answer to every mail in place of taking it; empty: it is taken.
    """

    mails: list[tuple[list[str], EmailMessage]] = field(
        factory=list[tuple[list[str], EmailMessage]]
    )
    refuse: dict[str, str] = field(factory=dict[str, str])
    on_data: str = ""
    port: int = 0
    _server: asyncio.Server | None = None

    async def start(self, *, password: str | None = None) -> None:
        """Listen on a free port; with a password, only for those who have it."""
        loop = asyncio.get_running_loop()

        def authenticate(_: object, __: object, ___: object, ____: str, data: object) -> AuthResult:
            right = isinstance(data, LoginPassword) and data.password.decode() == password
            return AuthResult(success=right, handled=False)

        def make() -> SMTP:
            return SMTP(
                self,
                hostname="mail.test",
                loop=loop,
                auth_required=password is not None,
                auth_require_tls=False,
                authenticator=authenticate,
            )

        self._server = await loop.create_server(make, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _: list[str]
    ) -> str:
        """Take or refuse a recipient."""
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take or refuse a mail."""
        if self.on_data:
            return self.on_data
        raw = envelope.original_content or b""
        mail = message_from_bytes(raw, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append((list(envelope.rcpt_tos), mail))
        return "250 OK"

"""The imap probe: the dialogue with an IMAP server, up to a login (RFC 9051)."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import ClassVar

from attrs import field as option
from attrs import frozen, validators

from tocsin import Probe, Result, Target, clean_text, deadline, hookimpl, tls_context
from tocsin_net import _metrics
from tocsin_net._dialogue import Dialogue
from tocsin_net._imap_client import ImapClient
from tocsin_net._mail import LEAVE, MOST_OFFERED, MailProbe, Security, Session
from tocsin_net._options import (
    bare,
    check_port,
    place,
)
from tocsin_net._trouble import FAILURES, Trouble, failure

_PORTS = {Security.NONE: 143, Security.STARTTLS: 143, Security.TLS: 993}


@frozen(kw_only=True)
class ImapProbe(MailProbe):
    """Talk to an IMAP server: greeting, CAPABILITY, optionally STARTTLS or TLS, and a login.

    Attributes:
        host: host name or address.
        port: 1 to 65535; unset: 993 if security is tls, else 143.
        security: none, starttls or tls.
        verify: whether to verify the certificate.
        ca_file: CA certificates to trust instead of the machine's.
        server_name: name for SNI and the certificate check; unset: the host.
        user: user name for a login.
        password: password for a login.
        degraded_above: a run that takes longer than this is degraded.
        certificate_warn_days: a certificate that ends in fewer days is degraded.
    """

    metrics: ClassVar[_metrics.Metrics] = _metrics.IMAP
    by_label: ClassVar[bool] = True
    config_only: ClassVar[tuple[str, ...]] = ("ca_file", "user", "password")

    port: int | None = option(default=None, validator=validators.optional(check_port))

    async def check(self, target: Target) -> Result:
        """Run one session and judge it; no mailbox is opened."""
        port = self.port or _PORTS[self.security]
        here = place(self.host, port)
        session = Session()
        try:
            with deadline(self.timeout):
                await self._converse(port, session)
        except FAILURES as error:
            if session.took is None:
                late = f"no {session.phase} within {self.timeout:g} s"
                return failure(error, here, late, session.metrics)
        took = session.took or 0.0
        return session.result(here, took, self.certificate_warn_days, self.degraded_above)

    async def _converse(self, port: int, session: Session) -> None:
        context = None
        if self.security is not Security.NONE:
            context = tls_context(self.verify, self.ca_file)
        dialogue = await Dialogue.connect(self.host, port, self.timeout)
        try:
            session.ended("connect_seconds")
            await self._dialogue(dialogue, context, session)
        finally:
            dialogue.close()

    async def _dialogue(
        self, dialogue: Dialogue, context: ssl.SSLContext | None, session: Session
    ) -> None:
        name = self.server_name or bare(self.host)
        client = ImapClient(dialogue)
        if context is not None and self.security is Security.TLS:
            session.waits_for("end of the TLS handshake")
            session.secured(await dialogue.secure(context, name))
            session.ended("tls_seconds")
        session.waits_for("greeting")
        greeting = await client.greeting()
        session.ended("greeting_seconds")
        session.attributes["greeting"] = clean_text(
            greeting.partition("]")[2] or greeting, longest=200
        ).strip()
        session.waits_for("answer to CAPABILITY")
        await client.capability()
        session.ended("capability_seconds")
        if context is not None and self.security is Security.STARTTLS:
            if "STARTTLS" not in client.capabilities:
                raise Trouble("the server offers no STARTTLS")
            session.waits_for("answer to STARTTLS")
            await client.command("STARTTLS")
            session.secured(await dialogue.secure(context, name))
            session.ended("starttls_seconds")
            session.waits_for("answer to CAPABILITY inside TLS")
            await client.capability()
        offered = sorted(client.capabilities)[:MOST_OFFERED]
        session.attributes["capabilities"] = [clean_text(one, longest=200) for one in offered]
        if self.user is not None and self.password is not None:
            session.waits_for("answer to the login")
            await client.login(self.user, self.password.reveal())
            session.ended("login_seconds")
        session.complete()
        with suppress(*FAILURES), deadline(LEAVE):
            await client.command("LOGOUT")


@hookimpl
def tocsin_probes() -> dict[str, type[Probe]]:
    """Register the probe."""
    return {"imap": ImapProbe}

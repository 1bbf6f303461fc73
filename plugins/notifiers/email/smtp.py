"""SMTP sessions: connect, encrypt, log in, and hand over a mail."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from contextlib import suppress
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import aiosmtplib

from tocsin import NotifyError, clean_text

if TYPE_CHECKING:
    from tocsin.plugins.notifiers.email import EmailNotifier


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


class OwnName:
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


async def deliver(
    options: EmailNotifier, own: str, raw: bytes, sender: str, to: list[str]
) -> dict[str, aiosmtplib.SMTPResponse]:
    """Run an SMTP session.

    Args:
        options: the server, and how to connect to it.
        own: name of this host; the library would look it up in asyncio's shared threads.
        raw: the mail.
        sender: address of the sender.
        to: addresses of the recipients.

    Returns:
        The refused recipients, each with the server's answer.

    Raises:
        NotifyError: the mail was not accepted.
    """
    at_once = options.security == Security.TLS or (
        options.security == Security.AUTO and options.port == 465
    )
    try:
        context = tls_context(options.verify, options.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise NotifyError(
            f"ca_file {options.ca_file} cannot be used: {error}",
            permanent=True,
            everything=True,
        ) from None
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
                await _secure(options, client, context)
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
        text = "; ".join(refusal(a, r) for a, r in responses)
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


async def _secure(options: EmailNotifier, client: aiosmtplib.SMTP, context: ssl.SSLContext) -> None:
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


def tls_context(verify: bool, ca_file: str | None) -> ssl.SSLContext:
    """Return a client context.

    Raises:
        OSError: the file cannot be read; ssl.SSLError: it holds no certificates.
    """
    return _tls(verify, ca_file, 0.0 if ca_file is None else Path(ca_file).stat().st_mtime)


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


def refusal(address: str, response: aiosmtplib.SMTPResponse) -> str:
    """Return a clause: the server does not accept mail for this recipient."""
    return f"refused for {address}: {response.code} {_in_a_line(response.message)}"


def _in_a_line(text: str) -> str:
    return clean_text(" ".join(text.split()), longest=240)

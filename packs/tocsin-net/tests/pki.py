"""Certificates for the tests."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import trustme
from attrs import frozen


@frozen
class Pki:
    """A certificate authority for the tests.

    Attributes:
        authority: the authority.
        directory: where its files are.
        ca_file: its certificate.
    """

    authority: trustme.CA
    directory: Path
    ca_file: str

    def issue(self, *names: str, days: float | None = None) -> trustme.LeafCert:
        """Issue a certificate; ``days``: until it ends, negative: since it ended."""
        if days is None:
            return self.authority.issue_cert(*names)
        now = datetime.datetime.now(datetime.UTC)
        return self.authority.issue_cert(
            *names,
            not_before=now - datetime.timedelta(days=400),
            not_after=now + datetime.timedelta(days=days),
        )

    def files(self, leaf: trustme.LeafCert, name: str) -> tuple[str, str]:
        """Write a certificate with its chain, and its key; return the two paths."""
        chain, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        chain.write_bytes(b"".join(one.bytes() for one in leaf.cert_chain_pems))
        key.write_bytes(leaf.private_key_pem.bytes())
        return str(chain), str(key)


def server_context(leaf: trustme.LeafCert) -> ssl.SSLContext:
    """Return a context for a server with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context

"""What a server's certificate says."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime

from attrs import frozen
from cryptography import x509

from tocsin import CheckError, Result, clean_text

MOST_NAMES = 50
"""Most names of a certificate that are kept."""

MOST_TEXT = 200
"""Most characters of a name that are kept."""

DAY = 86400.0


@frozen
class Certificate:
    """What a certificate says.

    Attributes:
        begins, ends: its validity.
        subject, issuer: as RFC 4514 writes them.
        names: the host names and addresses that it is for, at most MOST_NAMES.
    """

    begins: datetime
    ends: datetime
    subject: str
    issuer: str
    names: tuple[str, ...]

    def days(self) -> float:
        """Return the days until it ends; negative: since it ended."""
        return round((self.ends - datetime.now(UTC)).total_seconds() / DAY, 3)

    def attributes(self) -> dict[str, str | list[str]]:
        """Return its facts as attributes of a result."""
        return {
            "certificate_ends": self.ends.isoformat(),
            "certificate_begins": self.begins.isoformat(),
            "certificate_subject": self.subject,
            "certificate_issuer": self.issuer,
            "certificate_names": list(self.names),
        }


def certificate_of(connection: object) -> Certificate | None:
    """Return the certificate of a connection's peer, verified or not; None if it shows none.

    Args:
        connection: the ``ssl_object`` of a transport.

    Raises:
        CheckError: the certificate cannot be parsed.
    """
    if not isinstance(connection, ssl.SSLObject | ssl.SSLSocket):
        return None
    raw = connection.getpeercert(binary_form=True)
    return None if raw is None else read_certificate(raw)


def read_certificate(raw: bytes) -> Certificate:
    """Return what a certificate in DER says (RFC 5280).

    Raises:
        CheckError: it cannot be parsed.
    """
    try:
        found = x509.load_der_x509_certificate(raw)
        return Certificate(
            found.not_valid_before_utc,
            found.not_valid_after_utc,
            clean_text(found.subject.rfc4514_string(), longest=MOST_TEXT),
            clean_text(found.issuer.rfc4514_string(), longest=MOST_TEXT),
            tuple(clean_text(name, longest=MOST_TEXT) for name in _names(found)[:MOST_NAMES]),
        )
    except (ValueError, TypeError, OverflowError, x509.InvalidVersion) as error:
        why = clean_text(str(error), longest=MOST_TEXT)
        raise CheckError(f"the server's certificate cannot be parsed: {why}") from error


def _names(found: x509.Certificate) -> list[str]:
    try:
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return []  # clients ignore such extensions, or refuse the certificate when they verify it
    names = list(alternatives.get_values_for_type(x509.DNSName))
    return names + [str(a) for a in alternatives.get_values_for_type(x509.IPAddress)]


def judged(
    place: str,
    well: str,
    *,
    took: float,
    metrics: Mapping[str, float],
    attributes: Mapping[str, object],
    certificate: Certificate | None,
    warn_days: float,
    degraded_above: float | None,
) -> Result:
    """Return the result of a dialogue that went well, which is degraded if it was slow or if the
    certificate ends soon.

    Args:
        place: the server, for messages.
        well: what to say if all is well, as a clause.
        took: seconds that the dialogue took.
        metrics: what was measured.
        attributes: further facts.
        certificate: the server's; None: no TLS was used.
        warn_days: a certificate that ends in fewer days is degraded.
        degraded_above: a dialogue that took more seconds is degraded; None: it never is.
    """
    facts, known = dict(attributes), dict(metrics)
    text, bad = f"{place} {well}", False
    if certificate is not None:
        facts |= certificate.attributes()
        known["certificate_expiry_days"] = days = certificate.days()
        if days < warn_days:
            text, bad = f"{place}: {when_it_ends(days)}", True
    if not bad and degraded_above is not None and took > degraded_above:
        text, bad = f"{place}: slow, {took * 1000:.0f} ms", True
    make = Result.degraded if bad else Result.up
    return make(text, latency=took, metrics=known, attributes=facts)


def when_it_ends(days: float) -> str:
    """Return a clause that says when a certificate ends or ended."""
    if days < 0:
        return f"the certificate ended {_spell(-days)} ago"
    return f"the certificate ends in {_spell(days)}"


def _spell(days: float) -> str:
    return f"{int(days * 24)} hours" if days < 2 else f"{int(days)} days"

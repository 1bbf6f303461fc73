"""TLS contexts for clients."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path

from tocsin.core.contracts.model import CheckError
from tocsin.core.peers.errors import describe_error


def tls_context(
    verify: bool = True,
    ca_file: str | None = None,
    minimum_version: ssl.TLSVersion | None = None,
) -> ssl.SSLContext:
    """Return a TLS context for a client. It is shared: do not change it.

    Making one takes tens of milliseconds, so it is kept until the file changes.

    Args:
        verify: whether to verify the server's certificate and its host name.
        ca_file: path of the CA certificates to trust; None: those of the machine.
        minimum_version: the oldest version of TLS to use; None: what the machine's OpenSSL sets.

    Raises:
        CheckError: the file, or the machine's, cannot be read or contains no certificate.
    """
    file = ca_file if ca_file is not None else ssl.get_default_verify_paths().cafile
    try:
        changed_at = 0 if file is None else Path(file).stat().st_mtime_ns
        return _context(verify, ca_file, minimum_version, file, changed_at)
    except (OSError, ValueError) as error:  # includes ssl.SSLError
        name = f"ca_file {ca_file}" if ca_file is not None else f"the machine's {file}"
        is_empty = isinstance(error, ssl.SSLError | ValueError)
        why = "it contains no certificate" if is_empty else describe_error(error)
        raise CheckError(f"{name} cannot be used: {why}") from error


@lru_cache(maxsize=64)
def _context(
    verify: bool,
    ca_file: str | None,
    minimum_version: ssl.TLSVersion | None,
    file: str | None,
    changed_at: int,
) -> ssl.SSLContext:
    """Make a context; ``changed_at`` makes a changed file another key of the cache."""
    if file is not None:
        Path(file).open("rb").close()  # ssl would ignore the machine's error, and trust no CA
    context = ssl.create_default_context(cafile=ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if minimum_version is not None:
        context.minimum_version = minimum_version
    return context

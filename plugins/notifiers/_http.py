"""HTTP requests of the notifiers, which refuse private addresses unless these are allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar
from uuid import UUID

import aiohttp
from attrs import Factory, define

from tocsin import NotifyError, PublicAddresses, TocsinResolver

T = TypeVar("T")

MAX_ANSWER = 1_000_000
"""Maximum bytes of an answer that are read."""


@define
class Progress:
    """Counts the parts of a message that its receiver accepted, so that a retry sends the rest."""

    _taken: dict[UUID, int] = Factory(dict)

    def left(self, message: UUID, parts: Sequence[T]) -> Sequence[T]:
        """Return the parts that are not accepted yet."""
        return parts[self._taken.get(message, 0) :]

    def one(self, message: UUID) -> None:
        """Count one more part as accepted; only the newest 100 messages are remembered."""
        self._taken[message] = self._taken.get(message, 0) + 1
        while len(self._taken) > 100:
            del self._taken[next(iter(self._taken))]

    def forget(self, message: UUID) -> None:
        """Forget a message, all parts of which were accepted."""
        self._taken.pop(message, None)


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout: float,
    allow_private: bool,
    verify: bool = True,
) -> tuple[int, Mapping[str, str], bytes]:
    """Send a POST request, without following redirects.

    Args:
        url: the URL.
        body: the body of the request.
        headers: the headers of the request.
        timeout: seconds for the whole exchange.
        allow_private: whether private addresses may be reached.
        verify: whether to check the server's certificate.

    Returns:
        Status, headers and body of the answer; a body beyond :data:`MAX_ANSWER` bytes is cut.

    Raises:
        NotifyError: there was no answer. The text does not show the URL, which may be a secret.
    """
    guard = PublicAddresses()
    connector = aiohttp.TCPConnector(
        socket_factory=None if allow_private else guard,
        ssl=verify,
        force_close=True,
        use_dns_cache=False,
        resolver=TocsinResolver(),
    )
    limit = aiohttp.ClientTimeout(total=timeout)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=limit,
                trust_env=False,
                auto_decompress=False,
                skip_auto_headers=("Accept-Encoding",),
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            raw = b""
            while len(raw) < MAX_ANSWER and (chunk := await answer.content.read(MAX_ANSWER)):
                raw += chunk
            return answer.status, answer.headers, raw
    except TimeoutError:
        raise NotifyError(f"no answer within {timeout:g} s") from None
    except (aiohttp.InvalidURL, ValueError):
        raise NotifyError(
            "the URL is not valid; correct it", permanent=True, everything=True
        ) from None
    except (aiohttp.ClientError, OSError) as error:
        if guard.refused is not None:
            raise NotifyError(
                f"{guard.refused} is a private address; set allow_private = true to reach it",
                permanent=True,
                everything=True,
            ) from None
        raise NotifyError(_in_words(error)) from None


def _in_words(error: Exception) -> str:
    """Describe an error without the URL, which may contain a secret."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host name cannot be resolved"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the server's certificate is not trusted"
    if isinstance(error, aiohttp.ClientSSLError):
        return "the TLS connection failed"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and cause.strerror:
        return f"no connection: {cause.strerror}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection without an answer"
    return f"the request failed: {type(error).__name__}"

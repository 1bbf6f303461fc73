"""Reading the last lines of a container's log within limits of memory, traffic and time.

Long lines are truncated while they are read.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator

import docker
import requests

MAX_LINE = 16_000
"""Most bytes kept of a line, its timestamp included."""

MAX_KEPT = 2_000_000
"""Most bytes kept of all lines; the oldest lines are dropped."""

MAX_READ = 64_000_000
"""Most bytes read of one response; beyond it, fewer lines are requested: the newest come last."""

MAX_SECONDS = 8.0
"""Most seconds spent reading; lines received by then are returned."""

_HEADER = 8


class Tail:
    """The last lines of a stream of bytes."""

    def __init__(self, lines: int) -> None:
        self._most = lines
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._line = bytearray()
        self._cut = 0

    def feed(self, data: bytes) -> None:
        """Process received bytes."""
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._add(part)
            self._end()
        self._add(rest)

    def lines(self) -> list[bytes]:
        """Return the lines, oldest first, an unterminated last line included."""
        if self._line or self._cut:
            self._end()
        return list(self._kept)

    def _add(self, part: bytes) -> None:
        room = MAX_LINE - len(self._line)
        self._line += part[:room]
        self._cut += max(0, len(part) - room)

    def _end(self) -> None:
        line = bytes(self._line)
        if self._cut:
            line += f"… ({self._cut} more bytes)".encode()
        self._line.clear()
        self._cut = 0
        self._kept.append(line)
        self._size += len(line)
        while len(self._kept) > self._most or self._size > MAX_KEPT:
            self._size -= len(self._kept.popleft())


def payload(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the payload of the frames of the engine's stream.

    A frame has a header of 8 bytes with the length in the last four (https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach).
    Its payload is passed on in pieces as they arrive, so the claimed length needs no memory.
    """
    header = bytearray()
    left = 0
    for chunk in chunks:
        at = 0
        while at < len(chunk):
            if left:
                piece = chunk[at : at + left]
                left -= len(piece)
                at += len(piece)
                yield piece
                continue
            missing = _HEADER - len(header)
            header += chunk[at : at + missing]
            at += missing
            if len(header) == _HEADER:
                left = int.from_bytes(header[4:], "big")
                header.clear()


def last_lines(
    api: docker.APIClient, container: str, lines: int, stream: str, terminal: bool
) -> list[bytes]:
    """Return the last lines of a stream, each prefixed with its timestamp. Blocking.

    Args:
        api: the client of the engine.
        container: the id of the container.
        lines: how many lines at most.
        stream: ``stdout`` or ``stderr``.
        terminal: whether the container has a TTY, whose output has no frames.
    """
    deadline = time.monotonic() + MAX_SECONDS
    while True:
        tail = Tail(lines)
        chunks = _Chunks(api, container, lines, stream, deadline)
        for piece in chunks if terminal else payload(chunks):
            tail.feed(piece)
        if not chunks.too_many or lines == 1:
            return tail.lines()
        lines = max(1, lines // 8)


class _Chunks:
    """The chunks of the engine's response; ``too_many`` is set if it exceeded ``MAX_READ``."""

    def __init__(
        self, api: docker.APIClient, container: str, lines: int, stream: str, deadline: float
    ) -> None:
        self._api, self._deadline = api, deadline
        self._url = f"{api.base_url}/v{api.api_version}/containers/{container}/logs"
        self._query = {stream: 1, "timestamps": 1, "follow": 0, "tail": lines}
        self.too_many = False

    def __iter__(self) -> Iterator[bytes]:
        left = MAX_READ
        response = self._api.get(
            self._url, params=self._query, stream=True, timeout=self._api.timeout
        )
        try:
            _check(response)
            for chunk in response.iter_content(65536):
                yield chunk
                left -= len(chunk)
                self.too_many = left < 0
                if self.too_many or time.monotonic() > self._deadline:
                    return
        finally:
            response.close()


def _check(response: requests.Response) -> None:
    """Raise the SDK's error for an HTTP error response."""
    try:
        response.raise_for_status()
    except requests.exceptions.HTTPError as error:
        docker.errors.create_api_error_from_http_exception(error)

"""The last lines that a container wrote, whatever it wrote: long lines are cut while they are read,
and no more is kept, read, or waited for than is worth it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator

import docker
import requests

MAX_LINE = 16_000
"""Bytes of a line, with its time, that are kept."""

MAX_KEPT = 2_000_000
"""Bytes kept of all lines; older ones are left out."""

MAX_READ = 64_000_000
"""Bytes read of one answer; then fewer lines are asked for, since the newest come last."""

MAX_SECONDS = 8.0
"""Seconds for reading an answer; what has come by then must do."""

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
        """Take in what came."""
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._add(part)
            self._end()
        self._add(rest)

    def lines(self) -> list[bytes]:
        """The lines, oldest first; one that has not ended is one of them."""
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
    """What is in the frames of the engine's stream (a header of 8 bytes with the length in its last
    four, https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach);
    a frame is passed on piece by piece, whatever length it claims."""
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
    """The last lines of ``stdout`` or ``stderr``, each with its time in front; blocking."""
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
    """What the engine answers, as it comes. ``too_many``: there was more than is read."""

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
    """Raise the SDK's error for an answer that is none."""
    try:
        response.raise_for_status()
    except requests.exceptions.HTTPError as error:
        docker.errors.create_api_error_from_http_exception(error)

"""Reading a container's last lines from an engine that answers whatever it likes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import docker
import pytest

from tocsin.core.boundary import cleaned_lines
from tocsin.plugins.probes.docker_health import tail
from tocsin.plugins.probes.docker_health.actions import dated
from tocsin.plugins.probes.docker_health.tail import Tail, last_lines, payload

Say = Callable[[int], Iterator[bytes]]
"""What the engine sends, for the number of lines that it was asked for."""


def frame(data: bytes, length: int | None = None) -> bytes:
    """One frame of the engine's stream."""
    return b"\x01\0\0\0" + (len(data) if length is None else length).to_bytes(4, "big") + data


@contextmanager
def engine(say: Say, status: int = 200) -> Iterator[tuple[docker.APIClient, list[int]]]:
    """An engine that says so, a client of it, and the numbers of lines it is asked for."""
    asked: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            lines = int(parse_qs(urlsplit(self.path).query)["tail"][0])
            asked.append(lines)
            self.send_response(status)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for data in say(lines):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    api = docker.APIClient(f"tcp://127.0.0.1:{server.server_port}", version="1.41", timeout=5)
    try:
        yield api, asked
    finally:
        api.close()
        server.shutdown()
        thread.join()
        server.server_close()


def read(api: docker.APIClient, lines: int, *, terminal: bool = False) -> list[bytes]:
    return last_lines(api, "c", lines, "stdout", terminal)


@pytest.mark.parametrize("terminal", [False, True])
def test_long_lines_are_cut_and_say_so(terminal: bool) -> None:
    """Forty lines of a megabyte each: all forty come, cut, in little time of our own; so from a
    container with a terminal, whose stream has no frames."""

    def say(lines: int) -> Iterator[bytes]:
        for number in range(lines):
            line = b"%d " % number + b"x" * 1_000_000 + b"\n"
            yield line if terminal else frame(line)

    with engine(say) as (api, asked):
        began = time.thread_time()
        found = read(api, 40, terminal=terminal)
        assert time.thread_time() - began < 3
    assert asked == [40]
    assert [line.split()[0] for line in found] == [b"%d" % n for n in range(40)]
    assert all(len(line) < tail.MAX_LINE + 40 for line in found)
    assert found[0].decode().endswith("… (984002 more bytes)")


def test_of_too_much_the_newest_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer past the bound is asked for again with fewer lines, since the newest come last."""
    monkeypatch.setattr(tail, "MAX_READ", 1_000_000)

    def say(lines: int) -> Iterator[bytes]:
        for number in range(100 - lines, 100):
            yield frame(b"%d " % number + b"x" * 200_000 + b"\n")

    with engine(say) as (api, asked):
        found = read(api, 64)
    assert asked == [64, 8, 1]
    assert [line.split()[0] for line in found] == [b"99"]


def test_no_more_is_kept_than_is_worth_it() -> None:
    """Of many lines the newest are kept; memory is bounded, whatever comes."""
    kept = Tail(10_000)
    for number in range(10_000):
        kept.feed(b"%d " % number + b"x" * 1000 + b"\n")
    lines = kept.lines()
    assert sum(map(len, lines)) <= tail.MAX_KEPT
    assert lines[-1].startswith(b"9999 ")


@pytest.mark.parametrize("ending", ["", "\n"])
def test_a_stream_that_never_ends_ends(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """An endless line, or endless lines, that come slowly: what was read in time is shown."""
    monkeypatch.setattr(tail, "MAX_SECONDS", 0.5)
    over = threading.Event()

    def say(_: int) -> Iterator[bytes]:
        while not over.wait(0.01):
            yield frame(b"x" + ending.encode())

    with engine(say) as (api, asked):
        found = read(api, 5)
        over.set()
    assert asked == [5]
    assert found
    assert set(b"".join(found)) == {ord("x")}


def test_an_endless_line_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a line end, as fast as it can be sent: it is one line, cut."""
    monkeypatch.setattr(tail, "MAX_READ", 3_000_000)

    def say(_: int) -> Iterator[bytes]:
        while True:
            yield frame(b"x" * 60_000)

    with engine(say) as (api, asked):
        (line,) = read(api, 1)
    assert asked == [1]
    assert len(line) < tail.MAX_LINE + 40


def test_a_frame_that_claims_more_than_it_has() -> None:
    """Its length is not believed: what came is shown, and nothing waits for the rest."""
    with engine(lambda _: iter([frame(b"one\n"), frame(b"two\n", 2**32 - 1)])) as (api, _):
        assert read(api, 5) == [b"one", b"two"]


def test_frames_are_put_together_wherever_they_are_cut() -> None:
    """A header or a line may come in any number of pieces."""
    whole = frame(b"one\ntw") + frame(b"") + frame(b"o\nthree")
    for size in range(1, len(whole)):
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        kept = Tail(5)
        for piece in payload(pieces):
            kept.feed(piece)
        assert kept.lines() == [b"one", b"two", b"three"]


def test_a_refusal_is_the_sdks_error() -> None:
    """The engine's own words, as from any other call."""
    body = b'{"message": "no such container"}'
    with (
        engine(lambda _: iter([body]), 404) as (api, _),
        pytest.raises(docker.errors.NotFound, match="no such container"),
    ):
        read(api, 5)


def test_only_a_line_feed_ends_a_line() -> None:
    """A progress bar, a form feed and the line ends of Unicode stay within their line, which has
    one time; a line without any stays where it was written."""
    written = ["10%\r20%\r30%", "page\fbreak", "a\u2028b\u2029c\x85d\x0be\x1cf", "windows\r"]
    kept = Tail(100)
    for second, text in enumerate(written):
        kept.feed(f"2026-01-01T00:00:0{second}.5Z {text}\n".encode())
    kept.feed(b"without a time\n2026-01-01T00:00:09Z last\n")
    lines = list(dated(kept.lines(), "stdout"))
    assert [line.text for _, line in lines] == [
        *written[:3], "windows", "without a time", "last"
    ]  # fmt: skip
    assert [moment for moment, _ in lines] == sorted(moment for moment, _ in lines)
    shown = cleaned_lines(line for _, line in lines)
    assert len(shown) == len(lines)
    assert all(len(line.text.splitlines()) == 1 for line in shown)

"""Watched services answer what would take an incautious reader for ever."""

from __future__ import annotations

import gzip
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.faults.fault import Fault
from tests.faults.world import World

SILENT = 8.0
"""Seconds without an answer of /health after which tocsin counts as stalled: the shortest of these
answers would take an incautious reader longer."""

ANSWERS: dict[str, tuple[bytes, dict[str, str], str]] = {
    "punycode": (b"needle" + b"a" * 800_000, {"Content-Type": "text/plain; charset=punycode"}, ""),
    "idna": (b"needle", {"Content-Type": "text/plain; charset=idna"}, ""),
    "errors": (b"needle" + b"\x81" * 990_000, {"Content-Type": "x; charset=windows-1252"}, ""),
    "nested": (b"needle" + b"[" * 200_000, {}, 'json = { "$.a" = 1 }\n'),
    "digits": (b'{"needle":' + b"9" * 900_000 + b"}", {}, 'json = { "$.a" = 1 }\n'),
    "backtracking": (b"needle" + b"a" * 900_000 + b"!", {}, "matches = '(a|aa)+$'\n"),
    "bomb": (gzip.compress(b"needle" + bytes(300_000_000), 1), {"Content-Encoding": "gzip"}, ""),
    "reason": (b"needle", {"X-Long": "x" * 60_000}, ""),
}
"""Bodies, headers, and what else the check that meets them looks for."""


class HostileAnswers(Fault):
    """Eight monitored services send hostile answers: codecs, deep nesting, long digits,
    backtracking and decompression bombs."""

    name = "hostile-answers"

    def __init__(self) -> None:
        self._hostile = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._begun = 0.0

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hostile = self._hostile

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body, headers, _ = ANSWERS[self.path.strip("/")]
                if not hostile.is_set():
                    body, headers = b'{"needle":1,"a":1}aa', {}
                self.send_response(200)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def prepare(self, world: World, stack: ExitStack) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        stack.callback(self._server.server_close)
        stack.callback(self._server.shutdown)

    def config(self, world: World) -> str:
        # What they are found to be is nobody's concern here: only that all else goes on.
        text = (
            '[maintenance.hostile]\nschedule = "* * * * *"\nduration = "5m"\n'
            'match = ["target=hostile-*"]\n'
        )
        for name, (_, _, more) in ANSWERS.items():
            text += (
                f'[targets.hostile-{name}.checks.http]\nprobe = "http"\ncontains = "needle"\n'
                f'url = "http://127.0.0.1:{self._server.server_port}/{name}"\n{more}'
            )
        return super().config(world) + text

    def inject(self, world: World) -> None:
        self._begun = time.monotonic()
        self._hostile.set()

    def heal(self, world: World) -> None:
        self._hostile.clear()
        answered = [self._begun, *(at for at, ok in world.health if ok and at > self._begun)]
        for before, after in zip(answered, [*answered[1:], time.monotonic()], strict=True):
            if after - before > SILENT:
                world.deaths.append(f"stalled: /health gave no answer for {after - before:.0f} s")

"""What is watched says secrets: its own, and those that tocsin gave it."""

from __future__ import annotations

import json
import secrets
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.faults.fault import Fault
from tests.faults.world import World

SAYS, PAGE = "says", "page"

_PROGRAM = """\
printf 'no login with \\033[31mpassword=%s\\033[0m at postgres://app:%s@db/x\\n' {0} {0}
echo 'Authorization: Bearer {1}'
echo '{{"api_key": "{2}", "more": "curl -u bob:{2} -H \\"X-Api-Key: {2}\\""}}'
echo "told $API_TOKEN, $1 and $2; PGPASSWORD={0} psql; redis-cli -a {1}"
echo 'Set-Cookie: sid={2}' >&2
test -e {3}
"""


class PlantedSecrets(Fault):
    """A program and a web site fail, and output secrets in every way: text, header, body,
    colours."""

    name = "planted-secrets"

    def prepare(self, world: World, stack: ExitStack) -> None:
        names = ("said password", "said bearer", "said key", "argument", "program environment",
                 "url password", "url token", "body", "header")  # fmt: skip
        world.planted |= {name: secrets.token_hex(12) for name in names}
        planted = world.planted
        self._well = world.directory / "well"
        self._program = world.directory / "program.sh"
        self._program.write_text(
            _PROGRAM.format(
                planted["said password"], planted["said bearer"], planted["said key"], self._well
            )
            + "\ntest $? = 0 || exit 2\n"
        )
        self._serve(world, stack)
        self._turn(world, up=True)

    def _serve(self, world: World, stack: ExitStack) -> None:
        well, planted = self._well, world.planted

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                said = self.headers.get("Authorization", "")
                body = f'{{"password": "{planted["body"]}", "you said": "{said}"}}'.encode()
                status = 200 if well.exists() else 503
                self.send_response(status, f"token={planted['header']}")
                self.send_header("Set-Cookie", f"sid={planted['header']}")
                self.send_header("X-Api-Key", planted["header"])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self._port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        stack.callback(server.server_close)
        stack.callback(server.shutdown)

    def config(self, world: World) -> str:
        planted = world.planted
        return (
            super().config(world) + f'[targets.{SAYS}.checks.program]\nprobe = "backup-script"\n'
            f'command = ["/bin/sh", "{self._program}", "--password", "{planted["argument"]}"]\n'
            f'env = {{ API_TOKEN = "{planted["program environment"]}" }}\n'
            f'[targets.{PAGE}.checks.http]\nprobe = "http"\nretries = 0\nuser = "mon"\n'
            f'url = "http://127.0.0.1:{self._port}/x?token={planted["url token"]}"\n'
            f'password = "{planted["url password"]}"\n'
        )

    def inject(self, world: World) -> None:
        self._turn(world, up=False)

    def heal(self, world: World) -> None:
        self._turn(world, up=True)

    def _turn(self, world: World, *, up: bool) -> None:
        if up:
            self._well.touch()
        else:
            self._well.unlink()
        with (world.directory / "truth.jsonl").open("a") as ledger:
            for target in (SAYS, PAGE):
                line = {"at": time.monotonic(), "target": target, "up": up, "number": None}
                ledger.write(json.dumps(line) + "\n")

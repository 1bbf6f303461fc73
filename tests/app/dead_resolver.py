"""A tocsin whose name server never answers, in a network and a file system view of their own.

    unshare -nm python -m tests.app.dead_resolver DIRECTORY

Prints as JSON what its webhook got, what each check is, and what /health says of names.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tests.running import Running

DEAD = 12
"""Targets whose names nobody answers for."""

_CONFIG = """\
interval = "1s"
[sources.docker]
enabled = false
[alerts]
window = "0s"
[rules.health_check_failed]
failures = 1
[rules.monitor_impaired]
for = "1s"
[channels.hook]
notifier = "webhook"
allow_private = true
url = "http://127.0.0.1:{port}/hook"
[targets.by-name.checks.http]
probe = "http"
url = "http://shop.lan:{port}/"
[targets.by-name.checks.tcp]
probe = "tcp"
host = "shop.lan"
port = {port}
[targets.by-address.checks.http]
probe = "http"
url = "http://127.0.0.1:{port}/"
[targets.closed.checks.tcp]
probe = "tcp"
host = "127.0.0.1"
port = 1
"""

_DEAD = """\
[targets.dead{n}.checks.http]
probe = "http"
url = "http://dead{n}.example.org/"
[targets.dead{n}.checks.tcp]
probe = "tcp"
host = "dead{n}.example.org"
port = 1
[targets.dead{n}.checks.database]
probe = "postgres-query"
dsn = "postgresql://u:secret@dead{n}.example.org/d"
"""


class _Site(http.server.BaseHTTPRequestHandler):
    """Answers everything, and keeps what is posted."""

    told: list[Any] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.told.extend(json.loads(body)["data"]["alerts"])
        self._answer()

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def main(directory: Path) -> None:
    """Run and print."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    for path, text in {
        "/etc/resolv.conf": "nameserver 127.0.0.1\n",
        "/etc/hosts": "127.0.0.1 localhost shop.lan\n",
    }.items():
        own = directory / Path(path).name
        own.write_text(text)
        subprocess.run(["mount", "--bind", own, path], check=True)
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 53))
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    config = _CONFIG.format(port=site.server_port)
    config += "".join(_DEAD.format(n=n) for n in range(DEAD))
    env = {"DATABASE_URL": "postgresql://u@127.0.0.1:1/none"}
    with Running(directory, config, env) as running, contextlib.closing(silent):
        running.until(lambda: len(unknown(running)) == 3 * DEAD, 60)
        running.until(lambda: {"closed", "tocsin"} <= {one["target"] for one in _Site.told}, 60)
        seen = {check["id"]: (check["status"], check["message"]) for check in checks(running)}
        names = running.get("/health")["components"]["names"]
        out = {"told": _Site.told, "seen": seen, "names": names, "log": running.output()}
    print(json.dumps(out))  # noqa: T201


def unknown(running: Running) -> list[str]:
    """The checks that are unknown because their names cannot be looked up."""
    return [
        check["id"]
        for check in checks(running)
        if check["status"] == "unknown" and "could not look up" in check["message"]
    ]


def checks(running: Running) -> list[Any]:
    """Every check."""
    items: list[Any] = running.get("/api/v1/checks?limit=1000")["items"]
    return items


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A real tocsin in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def ask(url: str, token: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
    """One request to an API; no token is sent where it is empty. Status and decoded answer."""
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}"} if token else {},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


class Running:
    """Starts ``tocsin run``; ends it, whatever the test did.

    Unless the configuration names the disk probe, or ``host_disk`` says so, the plugin is disabled:
    no test of something else is to ring because this machine's disk is full.
    """

    def __init__(
        self, directory: Path, config: str = "", env: dict[str, str] | None = None, *args: str,
        dashboard: bool = False, host_disk: bool = False,
    ) -> None:  # fmt: skip
        self.directory = directory
        self.data = directory / "data"
        self.log = directory / "tocsin.log"
        self.config = directory / "tocsin.toml"
        self.config.write_text(config)
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("TOCSIN_", "DATABASE_"))},
            "TOCSIN_DATA_DIR": str(self.data),
            "TOCSIN_API_PORT": "0",
            "TOCSIN_PLUGINS_DISABLED": "" if host_disk or 'probe = "disk"' in config else "disk",
            "PYTHONUNBUFFERED": "1",
            **(env or {}),
        }
        self.args = args
        self.options = [] if dashboard else ["--no-dashboard"]
        self.prefix: list[str] = []
        """What stands before the command line of ``tocsin run``: a program that executes it."""
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Running:
        self.spawn()
        self.reach()
        return self

    def spawn(self) -> None:
        """Start the process; it is not awaited."""
        watched = "[sources.docker]" in self.config.read_text() or "DOCKER_HOST" in self.env
        assert watched, "say what is watched of the engine: other tests have containers there"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *self.command(), "run", *self.options], env=self.env, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip

    def reach(self) -> None:
        """Wait until the process says where its API is."""
        self.until(lambda: re.search(r"API +(http://\S+)", self.output()))
        found = re.search(r"API +(http://\S+)", self.output())
        assert found
        self.url = found[1]

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    main = "from tocsin.core.cli.main import main; main()"

    def command(self) -> list[str]:
        """The command line up to the command."""
        return [sys.executable, "-c", self.main, "-c", str(self.config), *self.args]

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Another tocsin command beside it."""
        return subprocess.run(
            [*self.command(), *args], env=self.env, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip

    def output(self) -> str:
        """All it printed so far."""
        return self.log.read_text(errors="replace")

    def until(self, condition: Any, seconds: float = 40) -> Any:
        """Wait for a condition; fail with the log when the process ends or time runs out."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if outcome := condition():
                    return outcome
            except urllib.error.URLError:
                pass
            assert self.process is None or self.process.poll() is None, self.output()
            assert time.monotonic() < deadline, f"it never came true\n{self.output()}"
            time.sleep(0.05)

    def token(self) -> str:
        """The admin token of the first start."""
        return (self.data / "admin.token").read_text().strip()

    def ask(self, path: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
        """One request: status and decoded answer."""
        return ask(self.url + path, self.token(), method, body)

    def get(self, path: str) -> Any:
        """What a GET gives; it must succeed."""
        status, answer = self.ask(path)
        assert status == 200, answer
        return answer

    def stop(self, number: int = signal.SIGINT) -> int:
        """Stop it in order; returns its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

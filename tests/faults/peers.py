"""Processes beside tocsin that end with the run, even when the run itself is killed: each of them
ends when its standard input does."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import psutil


class HarnessError(Exception):
    """The harness could not do its part; the run says nothing about tocsin."""


class Peer:
    """A module of this package in a process of its own. ``port`` is the one it listens on."""

    def __init__(
        self, module: str, *args: str, first: str = "", env: Mapping[str, str] | None = None
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.faults.{module}", *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
            cwd=Path(__file__).parents[2], env={**os.environ, **(env or {})},
        )  # fmt: skip
        try:
            if first:
                self.say(first)
            self.port = int(self.heard())
        except BaseException:
            self.close()
            raise

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def heard(self) -> str:
        """The next line of its standard output."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise HarnessError(f"{self._process.args!r} ended with {self._process.wait()}")
        return line.strip()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class ReceiverPeer(Peer):
    """A receiver of webhooks, with its ledger."""

    def __init__(
        self, directory: Path, channel: str, secret: str, env: Mapping[str, str] | None = None
    ) -> None:
        self.channel = channel
        self.ledger = directory / f"{channel}.jsonl"
        self._mode = directory / f"{channel}.mode"
        super().__init__("receiver", str(self.ledger), str(self._mode), first=secret, env=env)

    def answer(self, status: int, target: str = "") -> None:
        """What it says from now on; 200 accepts. ``target``: only to messages that name it, and
        all others are accepted."""
        partial = self._mode.with_suffix(".partial")
        partial.write_text(f"{status} {target}")
        partial.replace(self._mode)

    def caught_up(self) -> None:
        """Return once it has dealt with all that had arrived: it has one thread, and answers this
        request after those."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=20):
            return


class TargetsPeer(Peer):
    """The scripted targets, with their ledger."""

    def __init__(self, directory: Path, script: str) -> None:
        self.ledger = directory / "targets.jsonl"
        super().__init__("targets", script, str(self.ledger))

    def go(self) -> None:
        """The script begins; on return it has."""
        self.say("go")
        self.heard()


def marked(mark: str) -> list[psutil.Process]:
    """Processes that have a mark in their environment, wherever they went."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TOCSIN_FAULTS_RUN") == mark:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found

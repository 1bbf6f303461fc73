"""Alerts from the command line, and the replay, against a running tocsin."""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.recorder import Recorder
from tests.running import Running

pytestmark = pytest.mark.slow

CONFIG = """
interval = "1s"
[sources.docker]
enabled = false
[rules.health_check_failed]
failures = 2
[targets.{name}.checks.port]
probe = "tcp"
host = "127.0.0.1"
port = {port}
[maintenance.sunday]
schedule = "0 3 * * 0"
duration = "2h"
match = ["target=db-*"]
"""


class Port:
    """A port that can be opened and closed."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.number = probe.getsockname()[1]
        self.server: socket.socket | None = None

    def open(self) -> None:
        self.server = socket.socket()
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.server.bind(("127.0.0.1", self.number))
        self.server.listen(64)

    def close(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None


@pytest.fixture
def port() -> Iterator[Port]:
    made = Port()
    yield made
    made.close()


def begin(tmp_path: Path, database: str, port: Port) -> tuple[Running, Recorder, str]:
    name = f"svc-{uuid.uuid4().hex[:8]}"
    recorder = Recorder(tmp_path)
    config = CONFIG.format(name=name, port=port.number) + recorder.channel("ops")
    env = {"DATABASE_URL": database, "PYTHONPATH": str(recorder.place), "COLUMNS": "200"}
    return Running(tmp_path, config, env), recorder, name


def test_alerts_are_listed_shown_acknowledged_and_silenced(
    tmp_path: Path, database: str, port: Port
) -> None:
    """Each command does its work and says so; what is wrong is one line and a non-zero exit."""
    made, recorder, name = begin(tmp_path, database, port)
    with made as running:
        running.until(lambda: recorder.about("health_check_failed", name))
        listed = running.run("alerts")
        assert listed.returncode == 1
        assert name in listed.stdout
        assert "health_check_failed" in listed.stdout
        (item,) = json.loads(running.run("alerts", "--json").stdout)["items"]
        ending = item["id"][-8:]
        assert ending in listed.stdout

        running.until(lambda: "sent" in running.run("alerts", ending).stdout)
        one = running.run("alerts", ending).stdout
        assert item["id"] in one
        assert "written" in one

        done = running.run("ack", ending, "-m", "on it")
        assert (done.returncode, done.stdout) == (
            0, f"health_check_failed on {name} is acknowledged by admin\n",
        )  # fmt: skip
        again = running.run("ack", ending)
        assert again.returncode != 0
        assert again.stderr == "tocsin: it is acknowledged already, by admin\n"
        assert "ack admin" in running.run("alerts").stdout
        assert running.run("ack", ending, "--undo").returncode == 0

        added = running.run("silence", "add", f"target={name}", "--for", "2h", "-m", "work")
        assert added.returncode == 0
        assert f"target={name} is silenced until " in added.stdout
        silences = running.run("silence", "list").stdout
        assert name in silences
        running.until(lambda: "silenced by admin" in running.run("alerts", ending).stdout)
        end = added.stdout.split()[-1]
        assert running.run("silence", "end", end).returncode == 0

        planned = running.run("maintenance", "add", "move", f"target={name}", "--for", "1h")
        assert planned.stdout.startswith(f"maintenance move of target={name}: open until ")
        running.until(lambda: "maintenance window move" in running.run("alerts", ending).stdout)
        weekly = ("maintenance", "add", "weekly", "--for", "1h", "--schedule", "0 3 * * 0")
        assert "of everything: open" in running.run(*weekly).stdout
        windows = running.run("maintenance", "list").stdout
        for word in ("move", "admin", "once for 1h", "sunday", "tocsin.toml", "weekly"):
            assert word in windows
        assert running.run("maintenance", "end", "move").returncode == 0
        assert "move" not in running.run("maintenance", "list").stdout

        tested = running.run("test-notification", "ops")
        assert (tested.returncode, tested.stdout.strip()) == (0, "✔ ops: written")
        for wrong in (
            ("alerts", "zzzz"), ("ack", "ffffffff"), ("silence", "add", "web", "--for", "1h"),
            ("silence", "add", "target=x"), ("silence", "end", "ffffffff"),
            ("maintenance", "end", "sunday"), ("maintenance", "end", "nobody"),
            ("maintenance", "add", "a b", "--for", "1h"),
            ("maintenance", "add", "x", "--for", "1h", "--schedule", "now"),
            ("silence", "add", "target=x", "--until", "2020-01-01T00:00:00Z"),
            ("test-notification", "nobody"), ("replay", "--since", "soon"),
        ):  # fmt: skip
            failed = running.run(*wrong)
            assert failed.returncode not in (0, 70), wrong
            assert len(failed.stderr.strip().splitlines()) == 1, failed.stderr
        port.open()
        running.until(lambda: ("ops", "resolved") in recorder.about("health_check_failed", name))
        assert running.run("alerts").stdout == "No alert is firing.\n"
        assert "resolved" in running.run("alerts", "--all").stdout


def test_a_replay_agrees_with_what_really_fired(tmp_path: Path, database: str, port: Port) -> None:
    """Over stored history the same configuration raises what was raised, at the same times; another
    threshold raises nothing; the configuration's own errors are told."""
    made, _, name = begin(tmp_path, database, port)
    with made as running:
        for _ in range(3):
            port.open()
            running.until(
                lambda: running.get(f"/api/v1/targets/{name}")["target"]["status"] == "up"
            )
            port.close()
            running.until(lambda: running.get("/api/v1/alerts/active")["items"])
        port.open()
        running.until(lambda: not running.get("/api/v1/alerts/active")["items"])

        def written() -> bool:
            items = running.get(f"/api/v1/checks/{name}/port/results?limit=5")["items"]
            return bool(items) and items[0]["status"] == "up"

        running.until(written)

        def replayed(*args: str) -> dict[str, Any]:
            done = running.run("replay", "--since", "1h", "--json", *args)
            assert done.returncode == 0, done.stderr
            answer: dict[str, Any] = json.loads(done.stdout)
            answer["alerts"] = [a for a in answer["alerts"] if a["target"] == name]
            answer["real"] = [a for a in answer["real"] if a["target"] == name]
            return answer

        same = replayed()
        assert len(same["alerts"]) == 3
        assert [a["flaps"] for a in same["alerts"]] == [0, 1, 2]
        (real,) = same["real"]
        first, last = same["alerts"][0], same["alerts"][-1]
        assert _seconds(first["fired_at"], real["fired_at"]) < 2 or _again(real, last)
        assert _seconds(last["resolved_at"], real["resolved_at"]) < 2
        table = running.run("replay", "--since", "1h").stdout
        assert name in table
        other = tmp_path / "other.toml"
        other.write_text(running.config.read_text().replace("failures = 2", "failures = 99"))
        assert replayed("--with", str(other))["alerts"] == []
        said = running.run("replay", "--since", "1h", "--with", str(other)).stdout
        assert name not in said.partition("Gone:")[0]
        assert "Gone:" in said
        other.write_text("[rules.x]\nrule = 'nonsense'\n")
        failed = running.run("replay", "--with", str(other))
        assert failed.returncode == 2
        assert "no rule is called 'nonsense'" in failed.stderr


def _seconds(one: str, other: str) -> float:
    from datetime import datetime

    return abs((datetime.fromisoformat(one) - datetime.fromisoformat(other)).total_seconds())


def _again(real: dict[str, Any], last: dict[str, Any]) -> bool:
    """A reopened alert is one row, with the time it fired last."""
    return _seconds(real["fired_at"], last["fired_at"]) < 2

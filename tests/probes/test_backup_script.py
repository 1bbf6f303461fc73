"""The backup-script probe: real programs, real Monitoring Plugins, real files."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_aiohttp import AiohttpServer

from tests.conftest import eventually, need
from tocsin import Secret, Status, Target
from tocsin.plugins.probes import _container_exec, _perfdata
from tocsin.plugins.probes._freshness import Freshness
from tocsin.plugins.probes.backup_script import BackupScriptProbe
from tocsin.testing import check_probe_conformance, check_result

TARGET = Target(name="backup")


def script(tmp_path: Path, text: str) -> tuple[str, ...]:
    file = tmp_path / f"check_{uuid.uuid4().hex[:6]}"
    file.write_text("#!/bin/sh\n" + text)
    file.chmod(0o755)
    return (str(file),)


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("echo 'OK - fine | a=1'; exit 0", Status.UP, "OK - fine"),
        ("echo 'WARNING - tight'; exit 1", Status.DEGRADED, "WARNING - tight"),
        ("echo 'CRITICAL - full'; exit 2", Status.DOWN, "CRITICAL - full"),
        ("echo 'UNKNOWN - eh'; exit 3", Status.UNKNOWN, "UNKNOWN - eh"),
        ("echo odd; exit 17", Status.UNKNOWN, "exited with 17, which is not a plugin status: odd"),
        ("kill -9 $$", Status.UNKNOWN, "killed by SIGKILL"),
        ("echo to stderr >&2; exit 2", Status.DOWN, "to stderr"),
        ("exit 0", Status.UP, "printed nothing"),
    ],
)
async def test_exit_status_and_text_are_those_of_monitoring_plugins(
    tmp_path: Path, text: str, status: Status, message: str
) -> None:
    """0, 1, 2, 3 are up, degraded, down, unknown; anything else is unknown and said to be odd."""
    result = await BackupScriptProbe(command=script(tmp_path, text)).check(TARGET)
    assert result.status is status
    assert message in result.message


async def test_a_program_that_hangs_is_ended_with_all_its_children(tmp_path: Path) -> None:
    """At the timeout the whole process group goes, grandchildren and those that ignore TERM too."""
    mark = f"9{uuid.uuid4().int % 10**6:06}"
    text = f"trap '' TERM\n(trap '' TERM; sleep {mark}) &\n(sleep {mark} &)\nsleep {mark}"
    probe = BackupScriptProbe(command=script(tmp_path, text), timeout=0.8)
    result = await probe.check(TARGET)
    assert result.status is Status.DOWN
    assert "did not finish within 0.8 s" in result.message

    def left() -> list[str]:
        return [p.info["cmdline"] for p in psutil.process_iter(["cmdline"])
                if mark in (p.info["cmdline"] or [])]  # fmt: skip

    await eventually(lambda: not left())


async def test_a_daemon_that_keeps_the_output_open_holds_nobody_up(tmp_path: Path) -> None:
    """A grandchild that left the group and holds the pipe does not delay the result."""
    text = "setsid sleep 5 &\necho started; exit 0"
    began = time.monotonic()
    result = await BackupScriptProbe(command=script(tmp_path, text), timeout=30.0).check(TARGET)
    assert (result.status, result.message) == (Status.UP, "started")
    assert time.monotonic() - began < 5


async def test_a_flood_of_output_is_cut(tmp_path: Path) -> None:
    """Megabytes of output are drained and cut; the exit status counts."""
    text = "echo first line\nyes | head -c 20000000\nexit 1"
    result = await BackupScriptProbe(command=script(tmp_path, text)).check(TARGET)
    assert (result.status, result.message) == (Status.DEGRADED, "first line")
    assert len(result.attributes["output"]) <= 65536


async def test_the_environment_is_clean_and_secrets_stay_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only PATH, LANG and what is given are passed on; a given secret is cut out of the output."""
    monkeypatch.setenv("AWS_SECRET", "leak")
    probe = BackupScriptProbe(
        command=script(tmp_path, 'echo "x${AWS_SECRET}x $PASSWORD $LANG"'),
        env={"PASSWORD": Secret("hunter2")},
    )
    result = await probe.check(TARGET)
    assert result.message == "xx *** C.UTF-8"


async def test_a_program_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    """A missing or unrunnable program is the configuration's fault, not the target's."""
    result = await BackupScriptProbe(command=("/no/such/program",)).check(TARGET)
    assert (result.status, "No such file" in result.message) == (Status.UNKNOWN, True)


@pytest.mark.parametrize(
    ("data", "metrics"),
    [
        ("time=0.006s;;;0.0 size=120B;;;0", {"time_seconds": 0.006, "size_bytes": 120}),
        ("/=2643MB;5948;5958;0;5968", {"root_bytes": 2643 * 2**20}),
        ("'load 1'=0.5;;; 'it''s'=3", {"load_1": 0.5, "it_s": 3}),
        ("used=42%;80;90 pkts=100c", {"used_percent": 42, "pkts_total": 100}),
        ("rta=12.5ms pl=0% t=5us", {"rta_seconds": 0.0125, "pl_percent": 0, "t_seconds": 5e-6}),
        ("a=U b=1", {"b": 1}),
        ("broken b=1 =3 c=", {"b": 1}),
        ("a=1,5s", {"a_seconds": 1.5}),
        ("a=1e400 b=-2.5", {"b": -2.5}),
        ("a=2.882G b=990M c=1k d=2T", {"a": 2.882e9, "b": 990e6, "c": 1000, "d": 2e12}),
        (
            "a=1PB b=2PiB c=3mb d=4B e=5b",
            {
                "a_bytes": 2.0**50,
                "b_bytes": 2.0**51,
                "c_bytes": 3 * 2**20,
                "d_bytes": 4,
                "e_bytes": 5,
            },
        ),
        (
            "a=100Mb b=1Gbit c=2Kbps d=1Gb/s",
            {
                "a_bits": 1e8,
                "b_bits": 1e9,
                "c_bits_per_second": 2000,
                "d_bits_per_second": 1e9,
            },
        ),
        (
            "in=5B/s out=1MB/s r=3/s",
            {
                "in_bytes_per_second": 5,
                "out_bytes_per_second": 2**20,
                "r_per_second": 3,
            },
        ),
        (
            "t=21.5°C u=20C f=2.4GHz v=230V",
            {
                "t_celsius": 21.5,
                "u_celsius": 20,
                "f_hertz": 2.4e9,
                "v": 230,
            },
        ),
        (
            "/var/log=1% '/var log'=2% var-log=3% var_log_2=4%",
            {
                "var_log_percent": 1,
                "var_log_2_percent": 2,
                "var_log_3_percent": 3,
                "var_log_2_2_percent": 4,
            },
        ),
    ],
)
def test_performance_data_becomes_metrics(data: str, metrics: dict[str, float]) -> None:
    """Labels, quoting, units and ranges as in the guidelines; what cannot be read is left out."""
    assert _perfdata.parse(data) == pytest.approx(metrics)


def test_performance_data_may_go_on_over_lines() -> None:
    """Text, long text and both places of performance data are told apart."""
    text, long, data = _perfdata.split("OK | a=1\nmore text\nand more | b=2\nc=3\n")
    assert (text, long) == ("OK", "more text\nand more")
    assert _perfdata.parse(data) == {"a": 1, "b": 2, "c": 3}


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_no_output_makes_it_stumble(text: str) -> None:
    """Whatever a program prints, the result is a proper one."""
    from tocsin.plugins.probes._process import Finished

    done = Finished(code=0, stdout=text, stderr="", timed_out=False, seconds=0.1)
    check_result(BackupScriptProbe(command=("/x",))._judge(done))


async def test_real_monitoring_plugins_run_as_they_are(aiohttp_server: AiohttpServer) -> None:
    """check_disk, check_load and check_http give status, text and performance data as metrics."""
    disk = await BackupScriptProbe(
        command=(need("check_disk"), "-w", "1%", "-c", "1%", "-p", "/")
    ).check(TARGET)
    assert disk.status is Status.UP, disk.message
    assert disk.message.startswith("DISK OK")
    assert disk.metrics["root_bytes"] > 1e6
    load = await BackupScriptProbe(
        command=(need("check_load"), "-w", "999,999,999", "-c", "999,999,999")
    ).check(TARGET)
    assert load.status is Status.UP, load.message
    assert {"load1", "load5", "load15"} <= load.metrics.keys()
    app = web.Application()

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app.router.add_get("/", hello)
    server = await aiohttp_server(app)
    http = await BackupScriptProbe(
        command=(need("check_http"), "-H", "127.0.0.1", "-p", str(server.port))
    ).check(TARGET)
    assert http.status is Status.UP, http.message
    assert {"time_seconds", "size_bytes"} <= http.metrics.keys()


def dump(folder: Path, name: str, size: int, age: float) -> None:
    file = folder / name
    file.write_bytes(b"x" * size)
    os.utime(file, (time.time() - age, time.time() - age))


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({}, Status.UP, "new.dump, 1h old, 5.0 kB"),
        ({"max_age": 7200.0}, Status.UP, "new.dump"),
        ({"max_age": 600.0}, Status.DOWN, "is 1h old, expected at most 10m"),
        ({"min_size": 6000}, Status.DOWN, "has 5.0 kB, expected at least 6.0 kB"),
        ({"max_shrink_percent": 40.0}, Status.DOWN, "50% smaller than the one before"),
        ({"max_shrink_percent": 60.0}, Status.UP, "new.dump"),
        ({"min_count": 3}, Status.DOWN, "only 2 files match"),
    ],
)
async def test_a_backup_must_be_fresh(
    tmp_path: Path, options: dict[str, Any], status: Status, message: str
) -> None:
    """The newest matching file's age, size, shrinkage and the number of files are judged."""
    dump(tmp_path, "old.dump", 10_000, 90_000)
    dump(tmp_path, "new.dump", 5_000, 3601)
    dump(tmp_path, "other.txt", 1, 1)
    (tmp_path / "dir.dump").mkdir()
    result = await BackupScriptProbe(files=f"{tmp_path}/*.dump", **options).check(TARGET)
    assert result.status is status, result.message
    assert message in result.message
    assert result.metrics["files"] == 2


@pytest.mark.parametrize(
    ("options", "young", "status", "message"),
    [
        # A dump that has just begun is no small or shrunken backup, and no fresh one.
        ({"min_size": 5000, "max_shrink_percent": 30.0}, 10, Status.UP, "old.dump, 1h old, 10"),
        ({}, 10, Status.UP, "; young.dump is being written"),
        ({"max_age": 7200.0}, 10, Status.UP, "old.dump"),
        ({"max_age": 1800.0}, 10, Status.DOWN, "old.dump, is 1h old, expected at most 30m"),
        # While it is written, and until it has settled, the old one will do so much longer.
        ({"max_age": 3500.0}, 10, Status.UP, "old.dump"),
        # Written no more, it is what it is.
        ({"min_size": 5000}, 121, Status.DOWN, "young.dump, has 10 B, expected at least"),
        ({"max_shrink_percent": 30.0}, 121, Status.DOWN, "young.dump, is 100% smaller"),
        ({"max_age": 3500.0}, 121, Status.UP, "young.dump"),
        ({"min_size": 5000, "settle": 5.0}, 10, Status.DOWN, "young.dump, has 10 B"),
        ({"min_size": 5000, "settle": 0.0}, 0, Status.DOWN, "young.dump, has 10 B"),
        ({"min_count": 3}, 10, Status.DOWN, "only 2 files match"),
    ],
)  # fmt: skip
async def test_a_backup_being_written_is_not_judged(
    tmp_path: Path, options: dict[str, Any], young: float, status: Status, message: str
) -> None:
    """A file that changed within ``settle`` counts neither as too small nor as fresh: the one
    before is judged."""
    dump(tmp_path, "old.dump", 10_000, 3601)
    dump(tmp_path, "young.dump", 10, young)
    result = await BackupScriptProbe(files=f"{tmp_path}/*.dump", **options).check(TARGET)
    assert result.status is status, result.message
    assert message in result.message


async def test_the_first_backup_being_written_is_up(tmp_path: Path) -> None:
    """Without an older file there is nothing to judge: up, being written; then it is judged."""
    dump(tmp_path, "first.dump", 10, 30)
    probe = BackupScriptProbe(files=f"{tmp_path}/*.dump", min_size=5000, max_age=3600.0)
    result = await probe.check(TARGET)
    assert (result.status, result.message) == (
        Status.UP, "first.dump is being written, 10 B so far"
    )  # fmt: skip
    dump(tmp_path, "first.dump", 10, 150)
    assert (await probe.check(TARGET)).status is Status.DOWN


async def test_a_backup_each_minute_is_told_missing_in_time(tmp_path: Path) -> None:
    """Where files may not even be as old as they take to settle, they settle sooner."""
    probe = BackupScriptProbe(files=f"{tmp_path}/*.dump", max_age=60.0)
    for number, (age, status) in enumerate([(70, Status.DOWN), (40, Status.UP), (5, Status.UP)]):
        dump(tmp_path, f"{number}.dump", 10, age)
        assert (await probe.check(TARGET)).status is status


def test_dates_that_programs_gave_mislead_nobody(tmp_path: Path) -> None:
    """Files copied or restored with their old dates are as old as they say. One dated in the future
    is as old as the file system knows, so that it neither looks new for ever nor hides the rest."""
    look = Freshness(
        pattern=f"{tmp_path}/*.dump", max_age=7200.0, settle=120.0, min_size=1,
        max_shrink_percent=None, min_count=1,
    ).look  # fmt: skip
    dump(tmp_path, "restored.dump", 10, 90_000)
    assert look(time.time()).status is Status.DOWN
    dump(tmp_path, "future.dump", 10, -30 * 86400)
    assert "restored.dump, is 1d" in look(time.time()).message
    an_hour_on = look(time.time() + 3600)
    assert (an_hour_on.status, "future.dump, 1h" in an_hour_on.message) == (Status.UP, True)
    assert look(time.time() + 7300).status is Status.DOWN


async def test_links_are_no_backups(tmp_path: Path) -> None:
    """A backup is one, however many hard links and symbolic ones lead to it: neither are they
    counted, nor is it compared with itself."""
    dump(tmp_path, "a.dump", 100_000, 90_000)
    dump(tmp_path, "b.dump", 1_000, 3_601)
    (tmp_path / "app-latest.dump").symlink_to("b.dump")
    (tmp_path / "kept.dump").hardlink_to(tmp_path / "b.dump")
    (tmp_path / "dangling.dump").symlink_to("nothing")
    files = f"{tmp_path}/*.dump"
    shrunk = await BackupScriptProbe(files=files, max_shrink_percent=50).check(TARGET)
    assert (shrunk.status, "99% smaller" in shrunk.message) == (Status.DOWN, True), shrunk
    assert shrunk.metrics["files"] == 2
    few = await BackupScriptProbe(files=files, min_count=3).check(TARGET)
    assert (few.status, "only 2 files" in few.message) == (Status.DOWN, True), few
    alone = await BackupScriptProbe(files=f"{tmp_path}/*-latest.dump").check(TARGET)
    assert (alone.status, "app-latest.dump" in alone.message) == (Status.UP, True), alone


async def test_no_backup_at_all_is_down(tmp_path: Path) -> None:
    """A pattern that matches nothing is down, at any depth too."""
    result = await BackupScriptProbe(files=f"{tmp_path}/**/*.dump").check(TARGET)
    assert (result.status, "no file matches" in result.message) == (Status.DOWN, True)


def docker(*args: str) -> str:
    return subprocess.run(
        ["docker", *args], check=True, capture_output=True, text=True, timeout=60
    ).stdout


@pytest.mark.docker
async def test_a_program_runs_inside_a_container() -> None:
    """With ``container`` the program runs there; a hang is killed there too; a missing container is
    unknown."""
    name = f"tocsin-test-{uuid.uuid4().hex[:8]}"
    docker("run", "-d", "--name", name, "busybox:1.36", "sleep", "1000")
    try:
        probe = BackupScriptProbe(
            command=("/bin/sh", "-c", "echo in $X '| a=2s'; exit 1"), container=name,
            env={"X": Secret("side")},
        )  # fmt: skip
        result = await probe.check(TARGET)
        assert (result.status, result.message) == (Status.DEGRADED, "in ***")
        assert result.metrics == {"a_seconds": 2}
        hang = BackupScriptProbe(command=("/bin/sleep", "4321"), container=name, timeout=1.0)
        assert "did not finish" in (await hang.check(TARGET)).message

        def running() -> str:
            return docker("top", name)

        await eventually(lambda: "4321" not in running())
    finally:
        docker("rm", "-f", name)
    gone = await BackupScriptProbe(command=("/bin/true",), container=name).check(TARGET)
    assert (gone.status, "no container called" in gone.message) == (Status.UNKNOWN, True)


@pytest.fixture
def busybox() -> Iterator[str]:
    """The name of a container that does nothing."""
    name = f"tocsin-test-{uuid.uuid4().hex[:8]}"
    docker("run", "-d", "--name", name, "busybox:1.36", "sleep", "1000")
    yield name
    docker("rm", "-f", name)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's processes are not seen from here, as from inside a container."""
    monkeypatch.setattr(_container_exec._Exec, "_is_ours", lambda *_: False)


def execs() -> int:
    """Threads that wait for programs in containers."""
    return sum(thread.name == "tocsin exec" for thread in threading.enumerate())


@pytest.mark.docker
@pytest.mark.usefixtures("elsewhere")
async def test_a_hang_in_a_container_leaves_nothing_behind(busybox: str) -> None:
    """Run after run past its timeout: each is ended with its children by the container's own means,
    no thread waits on, and the next run is a new one."""
    probe = BackupScriptProbe(
        command=("/bin/sh", "-c", "sleep 4322 & sleep 4321"), container=busybox, timeout=1.0
    )
    for _ in range(3):
        result = await probe.check(TARGET)
        assert (result.status, "did not finish" in result.message) == (Status.DOWN, True)
        await eventually(lambda: "sleep 432" not in docker("top", busybox))
        await eventually(lambda: execs() == 0)


@pytest.mark.docker
@pytest.mark.usefixtures("elsewhere")
async def test_what_cannot_be_ended_is_not_run_again(busybox: str) -> None:
    """Without a shell in the image nothing can be killed from here: no second program is started
    beside the one that hangs, no thread waits for it; once it has ended the check runs again."""
    docker("exec", busybox, "rm", "/bin/sh")
    probe = BackupScriptProbe(command=("/bin/sleep", "4321"), container=busybox, timeout=1.0)
    assert "did not finish" in (await probe.check(TARGET)).message
    for _ in range(3):
        result = await probe.check(TARGET)
        assert result.status is Status.DOWN
        assert result.message == f"the last run of sleep still hangs in {busybox}"
        assert docker("top", busybox).count("sleep 4321") == 1
        await eventually(lambda: execs() == 0)
    docker("restart", "-t", "0", busybox)
    assert "sleep 4321" not in docker("top", busybox)
    assert "did not finish" in (await probe.check(TARGET)).message
    assert docker("top", busybox).count("sleep 4321") == 1


@pytest.mark.docker
async def test_a_container_without_a_shell_runs_programs_all_the_same(busybox: str) -> None:
    """Exit status and output are the program's own, with a shell and without; another container of
    that name is looked at anew."""
    probe = BackupScriptProbe(
        command=("/bin/ls", "/bin/busybox", "/none"), container=busybox, output_limit=60
    )
    before = await probe.check(TARGET)
    assert (before.status, before.message) == (Status.DEGRADED, "/bin/busybox")
    docker("exec", busybox, "rm", "/bin/sh")
    for _ in range(2):
        after = await probe.check(TARGET)
        assert (after.status, after.message) == (Status.DEGRADED, "/bin/busybox")
    silent = BackupScriptProbe(command=("/bin/ls", "/none"), container=busybox)
    missing = await silent.check(TARGET)
    assert missing.message == "ls: /none: No such file or directory"
    docker("rm", "-f", busybox)
    docker("run", "-d", "--name", busybox, "busybox:1.36", "sleep", "1000")
    for _ in range(2):
        assert (await silent.check(TARGET)).message == missing.message
    assert (None, busybox) not in _container_exec._CONTAINERS.without_shell


@pytest.mark.docker
@pytest.mark.usefixtures("elsewhere")
async def test_a_run_that_is_cancelled_is_ended_too(busybox: str) -> None:
    """tocsin stops, or the check is taken away: the program in the container is killed."""
    probe = BackupScriptProbe(command=("/bin/sleep", "4321"), container=busybox, timeout=60.0)
    run = asyncio.create_task(probe.check(TARGET))
    await eventually(lambda: "sleep 4321" in docker("top", busybox))
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert run.cancelled()
    await eventually(lambda: "sleep 4321" not in docker("top", busybox))
    await eventually(lambda: execs() == 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "either command"),
        ({"command": ("check",)}, "absolute path"),
        ({"files": "*.dump"}, "absolute path"),
        ({"command": ("/x",), "files": "/x"}, "either command"),
        ({"files": "/x", "container": "c"}, "files and container cannot be combined"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    """Relative paths, neither or both of command and files, and files in a container."""
    with pytest.raises(ValueError, match=words):
        BackupScriptProbe(**options)


async def test_it_keeps_to_the_contract(tmp_path: Path) -> None:
    """It passes the testing kit's suite for probes."""
    await check_probe_conformance(BackupScriptProbe(command=(sys.executable, "-c", "print('OK')")))
    await check_probe_conformance(BackupScriptProbe(files=f"{tmp_path}/*"))

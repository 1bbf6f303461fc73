"""Alerts of a whole tocsin on a real engine, told to a real (if plain) notifier."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tests.probes.docker.lab import IMAGE, Lab, docker
from tests.recorder import Recorder
from tests.running import Running, free_port

pytestmark = pytest.mark.docker
BOTH = [("email", "fired"), ("email", "resolved"), ("telegram", "fired"), ("telegram", "resolved")]
ONE = [("telegram", "fired"), ("telegram", "resolved")]
GRAVER = sorted([*ONE, ("telegram", "escalated"), ("email", "escalated"), ("email", "resolved")])


def only(lab: Lab) -> str:
    """The table of a source that watches the test's own containers."""
    return f'[sources.docker]\ninclude = ["{lab.prefix}-*"]\n'


def start(lab: Lab, short: str, *args: str) -> str:
    """A container of the test's own; its name."""
    docker("run", "-d", "--name", lab.name(short), *args)
    return lab.name(short)


def test_each_kind_of_trouble_is_one_alert_and_one_recovery(
    tmp_path: Path, database: str, lab: Lab, small_disk: Path
) -> None:
    """Kill, crash loop, unhealthy container, memory hog, CPU hog and full tmpfs: each of the plan's
    alerts is told once on its channels with its severity and reason, and so is its end. A loop that
    goes on is as grave as a container that is down, and is told in place of that."""
    recorder = Recorder(tmp_path)
    kill = start(lab, "kill", IMAGE, "sleep", "1000")
    # It runs while /ok/ok is there; the engine brings it back each time it ends.
    looping = "while test -f /ok/ok; do sleep 0.1; done; exit 3"
    shared = tmp_path / "ok"
    shared.mkdir()
    (shared / "ok").touch()
    loop = start(lab, "loop", "--restart", "always", "-v", f"{shared}:/ok", IMAGE, "sh", "-c",
          looping)  # fmt: skip
    sick = start(lab, "sick", "--health-cmd", "test ! -f /sick", "--health-interval", "1s",
          "--health-retries", "2", IMAGE, "sleep", "1000")  # fmt: skip
    memory = start(lab, "memory", "-m", "40m", "--shm-size", "64m", IMAGE, "sleep", "1000")
    cpu = start(lab, "cpu", IMAGE, "sleep", "1000")
    config = (
        f'interval = "1s"\n{only(lab)}[rules.container_down]\nfor = "5s"\n'
        '[rules.high_cpu]\nfor = "2s"\nlevel = 40\nclear = 20\n'
        '[rules.container_restarting]\nwindow = "20s"\n'
        f'[targets.room.checks.disk]\nprobe = "disk"\npaths = ["{small_disk}"]\n'
        "min_inodes_free_percent = 0\nmin_free_percent = 0\n"
        + recorder.channel("telegram")
        + recorder.channel("email", 'min_severity = "critical"')
    )
    env = {"DATABASE_URL": database, "PYTHONPATH": str(recorder.place)}
    with Running(tmp_path, config, env) as running:

        def sampled(name: str) -> bool:
            status, answer = running.ask(f"/api/v1/containers/{name}")
            return status == 200 and answer["container"]["cpu_percent"] is not None

        running.until(lambda: sampled(cpu))

        docker("kill", kill)
        (shared / "ok").unlink()
        docker("exec", sick, "touch", "/sick")
        docker("exec", memory, "sh", "-c", "head -c 37200k /dev/zero > /dev/shm/x")
        hog = "echo $$ >> /hogs; while :; do :; done"
        for _ in range(2):
            docker("exec", "-d", cpu, "sh", "-c", hog)
        (small_disk / "x").write_bytes(b"x" * 980_000)
        for rule, target in (
            ("container_down", kill), ("container_restarting", loop),
            ("health_check_failed", sick), ("high_memory", memory), ("high_cpu", cpu),
            ("disk_space_low", "room"),
        ):  # fmt: skip
            running.until(lambda r=rule, t=target: recorder.about(r, t), 180)
        running.until(
            lambda: ("email", "escalated") in recorder.about("container_restarting", loop), 40
        )
        (shared / "ok").touch()
        docker("start", kill)
        docker("exec", sick, "rm", "/sick")
        docker("exec", memory, "rm", "/dev/shm/x")
        docker("exec", cpu, "sh", "-c", "kill -9 $(cat /hogs)")
        (small_disk / "x").unlink()
        wanted = {
            ("container_down", kill): BOTH, ("container_restarting", loop): GRAVER,
            ("container_down", loop): [], ("health_check_failed", sick): ONE,
            ("high_memory", memory): ONE, ("high_cpu", cpu): ONE,
            ("disk_space_low", "room"): BOTH,
        }  # fmt: skip
        for (rule, target), channels in wanted.items():
            running.until(lambda r=rule, t=target, w=channels: recorder.about(r, t) == w, 180)
    told = {(n["rule"], n["target"]): n for n in recorder.told if n["kind"] == "fired"}
    killed, looped = told["container_down", kill], told["container_restarting", loop]
    assert (killed["severity"], killed["details"]["exit_code"]) == ("critical", 137)
    assert "killed by a person" in killed["text"]
    assert (looped["severity"], looped["details"]["exit_code"]) == ("warning", 3)
    assert told["high_memory", memory]["details"]["value"] > 90
    assert told["high_cpu", cpu]["details"]["value"] > 40
    assert told["health_check_failed", sick]["text"].startswith("health check: unhealthy")
    ends = [n for n in recorder.told if n["kind"] == "resolved" and n["target"] == kill]
    state = docker("inspect", "-f", "{{.State.StartedAt}} {{.State.FinishedAt}}", kill)
    began, ended = (datetime.fromisoformat(t[:26] + "+00:00") for t in state.split())
    real = (began - ended).total_seconds()
    assert {round(n["downtime"] - real) for n in ends} == {0}


def test_a_dead_root_is_one_message_by_configuration(
    tmp_path: Path, database: str, lab: Lab
) -> None:
    """Ten services depend on a database by ``depends_on`` in the configuration."""
    names = [lab.name(f"app{n}") for n in range(10)]
    tables = "".join(f'[targets.{name}]\ndepends_on = ["{lab.name("db")}"]\n' for name in names)
    _root(tmp_path, database, lab, tables, {})


def test_a_dead_root_is_one_message_by_compose_labels_alone(
    tmp_path: Path, database: str, lab: Lab
) -> None:
    """The same, the graph coming from the labels that Compose 2 writes, and from nothing else."""
    project = {"com.docker.compose.project": lab.prefix}
    depends = {"com.docker.compose.depends_on": "db:service_healthy:false"}
    _root(tmp_path, database, lab, "", {"project": project, "depends": depends})


def _root(
    tmp_path: Path,
    database: str,
    lab: Lab,
    tables: str,
    labels: dict[str, dict[str, str]],
) -> None:
    recorder = Recorder(tmp_path)

    def run(short: str, more: dict[str, str], *args: str) -> None:
        chosen = dict(more)
        if labels:
            service = {
                "com.docker.compose.service": short,
                "com.docker.compose.container-number": "1",
                "com.docker.compose.config-hash": "0a1b",
            }
            chosen |= {**labels["project"], **service}
        flags = [part for k, v in chosen.items() for part in ("--label", f"{k}={v}")]
        start(lab, short, *flags, *args)

    db = lab.name("db")
    at = f"127.0.0.1:{free_port()}"  # another's container may take the address of one that ended
    run("db", {}, "--network", "host", IMAGE, "httpd", "-f", "-p", at)
    apps = [f"app{n}" for n in range(10)]
    names = [lab.name(app) for app in apps]
    for app in apps:
        more = {"tocsin.tcp": at, **labels.get("depends", {})}
        run(app, more, IMAGE, "sleep", "1000")
    config = (
        f'interval = "1s"\n{only(lab)}[alerts]\ninhibit_grace = "6s"\n'
        '[rules.container_down]\nfor = "2s"\n'
        "[rules.health_check_failed]\nfailures = 1\n" + tables + recorder.channel("ops")
    )
    env = {"DATABASE_URL": database, "PYTHONPATH": str(recorder.place)}
    with Running(tmp_path, config, env) as running:

        def mine() -> list[str]:
            items = running.get("/api/v1/targets?limit=1000")["items"]
            return [t["status"] for t in items if t["name"].startswith(lab.prefix + "-")]

        def told() -> list[tuple[str, str, str]]:
            return [
                (n["kind"], n["rule"], n["target"])
                for n in recorder.told
                if n["target"].startswith(lab.prefix + "-")
            ]

        running.until(lambda: mine() == ["up"] * 11, 60)
        docker("kill", db)
        running.until(lambda: told())

        def inhibited() -> set[str]:
            rows = running.get("/api/v1/notifications?decision=inhibited&limit=1000")["items"]
            assert all(f"container_down on {db} explains" in r["reason"]
                       for r in rows if r["container_name"] in names)  # fmt: skip
            return {r["container_name"] for r in rows if r["container_name"] in names}

        running.until(lambda: inhibited() == set(names))
        assert told() == [("fired", "container_down", db)]
        (first,) = [n for n in recorder.told if n["target"] == db]
        assert first["affected"] == sorted(names)
        docker("kill", names[3])
        running.until(lambda: running.get(f"/api/v1/containers/{names[3]}")["container"]["state"]
                      == "exited")  # fmt: skip
        docker("start", db)
        running.until(lambda: len(told()) == 3)
        assert told()[1:] == [
            ("resolved", "container_down", db),
            ("fired", "container_down", names[3]),
        ]

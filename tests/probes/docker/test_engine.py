"""The docker-health source against a real Docker Engine."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import eventually, need
from tests.probes.docker.lab import IMAGE, SLEEP, Lab, OwnEngine, docker, newest, reached, watching
from tocsin import ActionError, Reason, Result, Status
from tocsin.core.boundary import cleaned_lines
from tocsin.core.hiding import clean_data
from tocsin.plugins.probes.docker_health.source import DockerSource, DockerWatch
from tocsin.testing import RecordingSink, check_source_conformance

pytestmark = pytest.mark.docker
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("short", "options", "command", "act", "reason", "status", "message"),
    [
        ("crash", (), ("sh", "-c", "sleep 0.5; exit 3"), None,
         Reason.CRASHED, Status.DOWN, "crashed with exit code 3"),
        ("oom", ("--memory=32m",), ("sh", "-c", "sleep 0.5; tail /dev/zero"), None,
         Reason.OOM_KILLED, Status.DOWN, "killed: out of memory (limit 33 MB), exit code 137"),
        ("stop", (), ("sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"), ("stop", "-t", "5"),
         Reason.STOPPED, Status.DOWN, "stopped by a person (SIGTERM), exit code 0"),
        ("kill", (), SLEEP, ("kill",),
         Reason.STOPPED, Status.DOWN, "killed by a person (SIGKILL), exit code 137"),
        ("done", (), ("sh", "-c", "sleep 0.5"), None,
         Reason.COMPLETED, Status.UP, "completed, exit code 0"),
        ("pause", (), SLEEP, ("pause",), Reason.PAUSED, Status.DOWN, "paused"),
        ("sick", ("--health-cmd=echo no route; false", "--health-interval=300ms",
                  "--health-retries=1"), SLEEP, None,
         Reason.UNHEALTHY, Status.DEGRADED, "unhealthy: no route"),
        ("loop", ("--restart=always",), ("sh", "-c", "exit 7"), None,
         Reason.RESTARTING, Status.DOWN, "last exit code 7"),
    ],
)  # fmt: skip
async def test_why_a_container_stopped_is_told_apart(
    lab: Lab,
    short: str,
    options: tuple[str, ...],
    command: tuple[str, ...],
    act: tuple[str, ...] | None,
    reason: Reason,
    status: Status,
    message: str,
) -> None:
    """A crash, an OOM kill, docker stop, docker kill, a finished job, a pause, a failing health
    check and a restart loop each have their own reason, status and sentence."""
    async with watching(lab) as (_, sink):
        docker("run", "-d", "--name", lab.name(short), *options, IMAGE, *command)
        if act is not None:
            await reached(sink, lab.name(short), Reason.RUNNING)
            await asyncio.to_thread(docker, *act, lab.name(short))
        result = await reached(sink, lab.name(short), reason)
        await sink.until(lambda: message in (sink.last(lab.name(short)) or result).message)
        assert (await reached(sink, lab.name(short), reason)).status in (status, Status.DEGRADED)
        if reason is Reason.PAUSED:
            docker("unpause", lab.name(short))
            await sink.until(lambda: newest(sink, lab.name(short)).status is Status.UP)
        if reason is not Reason.RESTARTING:
            assert all(r.message != "crashed" for r in sink.results[lab.name(short)])


async def test_a_restart_loop_keeps_its_exit_code_while_it_runs_again(lab: Lab) -> None:
    """Between two ends of a loop the container runs, and the engine says exit code 0: the result
    still names the code of the last end, in its sentence and in its facts."""
    async with watching(lab) as (_, sink):
        command = ("sh", "-c", "sleep 0.5; exit 7")
        docker("run", "-d", "--name", lab.name("loop"), "--restart=always", IMAGE, *command)

        def again() -> list[Result]:
            return [
                r for r in sink.results.get(lab.name("loop"), [])
                if r.container and (r.container.state, r.container.reason)
                == ("running", Reason.RESTARTING)
            ]  # fmt: skip

        await sink.until(again)
        result = again()[0]
        assert result.container is not None
        assert result.container.exit_code == 7
        assert result.message.endswith("last exit code 7; running again for a moment")


async def test_processes_killed_for_memory_inside_a_container_are_told(lab: Lab) -> None:
    """Its first process goes on, so that the container runs: it is degraded, with number and
    reason; as that one exits by itself, it has not been killed."""
    name = lab.name("parent")
    command = "for i in 1 2; do sleep 0.5; tail /dev/zero; done; sleep 2; exit 1"
    async with watching(lab) as (_, sink):
        docker("run", "-d", "--name", name, "--memory=32m", IMAGE, "sh", "-c", command)
        await sink.until(lambda: (sink.last(name) or Result.up()).metrics.get("oom_kills") == 2)
        result = newest(sink, name)
        assert (result.status, "2 processes in it were killed" in result.message) == (
            Status.DEGRADED, True,
        )  # fmt: skip
        crashed = await reached(sink, name, Reason.CRASHED)
        assert crashed.message.startswith("crashed with exit code 1; a process in it had been")


async def test_a_stopped_container_that_is_renamed_is_still_stopped(lab: Lab) -> None:
    """What was heard of a container goes along with it to its new name."""
    async with watching(lab) as (_, sink):
        docker("run", "-d", "--name", lab.name("old"), IMAGE,
               "sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait")  # fmt: skip
        await reached(sink, lab.name("old"), Reason.RUNNING)
        await asyncio.to_thread(docker, "stop", lab.name("old"))
        await reached(sink, lab.name("old"), Reason.STOPPED)
        await asyncio.to_thread(docker, "rename", lab.name("old"), lab.name("new"))
        await sink.until(lambda: lab.name("new") in sink.results)
        assert {r.status for r in sink.results[lab.name("new")]} == {Status.DOWN}


async def test_ends_from_before_the_start_are_explained_too(lab: Lab) -> None:
    """What ended before tocsin looked is explained from the engine's document and its memory of
    events: stopped, killed, crashed, completed."""
    docker("run", "-d", "--name", lab.name("crash"), IMAGE, "sh", "-c", "exit 4")
    docker("run", "-d", "--name", lab.name("done"), IMAGE, "true")
    docker("run", "-d", "--name", lab.name("killed"), IMAGE, *SLEEP)
    docker("kill", lab.name("killed"))
    await eventually(
        lambda: docker("inspect", "-f", "{{.State.Status}}", lab.name("crash")) == "exited"
    )
    async with watching(lab) as (_, sink):
        assert (await reached(sink, lab.name("crash"), Reason.CRASHED)).status is Status.DOWN
        assert (await reached(sink, lab.name("done"), Reason.COMPLETED)).status is Status.UP
        assert (await reached(sink, lab.name("killed"), Reason.STOPPED)).status is Status.DOWN


async def test_a_signal_that_ends_nothing_is_not_blamed(lab: Lab) -> None:
    """A container sent SIGHUP that crashes later has crashed; nobody stopped it."""
    script = "trap : HUP; sleep 1 & wait; sleep 1; exit 5"
    docker("run", "-d", "--name", lab.name("hup"), IMAGE, "sh", "-c", script)
    async with watching(lab) as (_, sink):
        docker("kill", "-s", "HUP", lab.name("hup"))
        result = await reached(sink, lab.name("hup"), Reason.CRASHED)
        assert result.container is not None
        assert result.container.exit_code == 5


async def test_a_removed_container_retires_after_the_grace(lab: Lab) -> None:
    """Removed on purpose, a target is first unknown, and after the grace no more."""
    docker("run", "-d", "--name", lab.name("gone"), IMAGE, *SLEEP)
    async with watching(lab, redeploy_grace=0.5) as (_, sink):
        await reached(sink, lab.name("gone"), Reason.RUNNING)
        docker("rm", "-f", lab.name("gone"))
        assert (await reached(sink, lab.name("gone"), Reason.REMOVED)).status is Status.UNKNOWN
        await sink.until(lambda: sink.gone)
        assert sink.gone[0][0] == lab.name("gone")


async def test_a_step_of_a_build_is_no_target(lab: Lab, tmp_path: Path) -> None:
    """The classic builder makes a container for each RUN, and removes it: neither what it did while
    tocsin looked on, nor what was there already, is watched."""
    (tmp_path / "Dockerfile").write_text(
        f"FROM {IMAGE}\nLABEL of={lab.prefix}\nRUN sleep 1\nRUN sleep 1.1\n"
    )

    async def step(command: str) -> str:
        async with asyncio.timeout(30):
            while True:
                filters = (
                    "--filter",
                    f"label=of={lab.prefix}",
                    "--format",
                    "{{.Names}} {{.Command}}",
                )
                for line in docker("ps", "--no-trunc", *filters).splitlines():
                    if command in line:
                        return line.split()[0]
                await asyncio.sleep(0.05)

    build = await asyncio.create_subprocess_exec(
        "docker", "build", "-q", "--no-cache", "--network=none", str(tmp_path),
        env={**os.environ, "DOCKER_BUILDKIT": "0"}, stdout=-3, stderr=-3,
    )  # fmt: skip
    try:
        steps = [await step("sleep 1'")]
        async with watching(lab, include=()) as (_, sink):
            steps.append(await step("sleep 1.1"))
            lab.run("after", *SLEEP)  # what came before was heard of before
            await reached(sink, lab.name("after"), Reason.RUNNING)
            assert sink.targets.keys().isdisjoint(steps)
            assert len({*steps}) == 2
    finally:
        await build.wait()
        docker("image", "prune", "-f", "--filter", f"label=of={lab.prefix}")


COMPOSE = """
version: "2.4"
services:
  web:
    image: busybox:1.36
    container_name: {name}
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
    environment: {{VERSION: "{version}"}}
    network_mode: none
    stop_grace_period: 2s
"""


async def test_a_redeploy_whose_new_container_cannot_start_is_told(
    lab: Lab, tmp_path: Path
) -> None:
    """``compose up`` with a program that is not there: degraded within the grace, then down, though
    the failed start is no event and no inventory is taken."""
    compose, file = need("docker-compose"), tmp_path / "docker-compose.yml"
    text, name = COMPOSE.format(name=lab.name("web"), version=1), lab.name("web")

    def up() -> int:
        return subprocess.run(
            [compose, "-p", lab.prefix, "-f", str(file), "up", "-d"],
            check=False, capture_output=True, timeout=60,
        ).returncode  # fmt: skip

    file.write_text(text)
    assert up() == 0
    async with watching(lab, redeploy_grace=3) as (_, sink):
        await reached(sink, name, Reason.RUNNING)
        file.write_text(text.replace('["sh",', '["/no/such/program",'))
        assert await asyncio.to_thread(up) != 0
        await sink.until(lambda: "could not start" in newest(sink, name).message)
        last = sink.last(name)
        assert last is not None
        assert last.status is Status.DOWN
        assert "/no/such/program" in last.message


async def test_a_redeploy_by_compose_is_no_outage(lab: Lab, tmp_path: Path) -> None:
    """``compose up`` with a changed configuration: the same target under a new id, never down."""
    compose = need("docker-compose")
    name, file = lab.name("web"), tmp_path / "docker-compose.yml"

    def up(version: int) -> None:
        file.write_text(COMPOSE.format(name=name, version=version))
        subprocess.run(
            [compose, "-p", lab.prefix, "-f", str(file), "up", "-d"],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip

    up(1)
    async with watching(lab) as (_, sink):
        first = await reached(sink, name, Reason.RUNNING)
        await asyncio.to_thread(up, 2)

        def renewed() -> bool:
            last = sink.last(name)
            return (
                last is not None
                and last.container is not None
                and first.container is not None
                and last.container.id != first.container.id
                and last.container.reason is Reason.RUNNING
            )

        await sink.until(renewed)
        await asyncio.sleep(1)  # whatever Compose still has to do shows by now
        assert Status.DOWN not in {r.status for r in sink.results[name]}
        assert list(sink.targets) == [name]
        assert sink.gone == []
        last = sink.last(name)
        assert last is not None
        assert last.container is not None
        assert (last.container.project, last.container.service) == (lab.prefix, "web")
        # A stop that is no redeploy is told all the same.
        await asyncio.to_thread(
            subprocess.run,
            [compose, "-p", lab.prefix, "-f", str(file), "stop"],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        await reached(sink, name, Reason.STOPPED)
        # What Compose still told of the old one may hold that back for the grace.
        await sink.until(lambda: newest(sink, name).status is Status.DOWN, 60)


async def test_a_start_that_fails_is_down(lab: Lab) -> None:
    """A port that is taken, a program that is not there, before and after tocsin's start: down,
    with the engine's words; created and never started: unknown."""
    port = ("-p", "127.0.0.1:48931:80")
    docker("run", "-d", "--name", lab.name("first"), *port, IMAGE, *SLEEP)
    docker("run", "-d", "--name", lab.name("taken"), *port, IMAGE, *SLEEP, check=False)
    docker("create", "--name", lab.name("made"), IMAGE, *SLEEP)
    async with watching(lab, reconcile=1) as (_, sink):
        docker("run", "-d", "--name", lab.name("none"), IMAGE, "/no/such/program", check=False)
        for name, words in (("taken", "port is already allocated"), ("none", "/no/such/program")):
            result = await reached(sink, lab.name(name), Reason.CRASHED)
            await sink.until(lambda: words in newest(sink, lab.name(name)).message)  # noqa: B023
            result = sink.last(lab.name(name)) or result
            assert result.status is Status.DOWN
            assert result.message.startswith("could not start: ")
            assert "\n" not in result.message
            assert result.container is not None
            assert (result.container.state, result.container.exit_code) in (
                ("created", 127), ("created", 128),
            )  # fmt: skip
        made = await reached(sink, lab.name("made"), Reason.CREATED)
        assert (made.status, made.message) == (Status.UNKNOWN, "created, never started")
        docker("rm", "-f", lab.name("first"))
        docker("start", lab.name("taken"))
        assert (await reached(sink, lab.name("taken"), Reason.RUNNING)).status is Status.UP


async def test_a_stopped_container_that_cannot_be_started_again_says_so(lab: Lab) -> None:
    """Stopped by a person, and then its port is taken: told is why it could not start."""
    port = ("-p", "127.0.0.1:48932:80")
    docker("run", "-d", "--name", lab.name("web"), *port, IMAGE, *SLEEP)
    async with watching(lab, reconcile=1) as (_, sink):
        docker("kill", lab.name("web"))
        assert (await reached(sink, lab.name("web"), Reason.STOPPED)).status is Status.DOWN
        docker("run", "-d", "--name", lab.name("other"), *port, IMAGE, *SLEEP)
        docker("start", lab.name("web"), check=False)
        result = await reached(sink, lab.name("web"), Reason.CRASHED)
        assert result.status is Status.DOWN
        assert "port is already allocated" in result.message


async def test_labels_refine_a_target(lab: Lab) -> None:
    """Labels hide a container, make it critical, give it dependencies and further checks."""
    docker("run", "-d", "--name", lab.name("off"), "-l", "tocsin.enable=false", IMAGE, *SLEEP)
    docker(
        "run", "-d", "--name", lab.name("on"), "-l", "tocsin.critical=true",
        "-l", "tocsin.depends_on=a, b", "-l", "tocsin.http=:8000/health",
        "-l", "tocsin.expected.memory_bytes=500MB", "-l", "tocsin.check.port.probe=tcp",
        "-l", "tocsin.check.port.port=5432", "-l", "team=blue", IMAGE, *SLEEP,
    )  # fmt: skip
    async with watching(lab) as (_, sink):
        await reached(sink, lab.name("on"), Reason.RUNNING)
        assert lab.name("off") not in sink.targets
        target = sink.targets[lab.name("on")]
        assert target.critical
        assert target.depends_on == ("a", "b")
        assert target.expected == {"memory_bytes": 500e6}
        assert target.labels == {"team": "blue"}
        address = docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", lab.name("on"))
        checks = sink.checks[lab.name("on")]
        assert checks["http"] == {"probe": "http", "url": f"http://{address}:8000/health"}
        assert checks["port"] == {"probe": "tcp", "port": 5432}


async def test_usage_agrees_with_the_engine(lab: Lab) -> None:
    """CPU, memory and limit agree with what docker stats says of the same container."""
    # So much memory that a few pages do not matter; tail holds it until its input ends.
    script = "(head -c 20m /dev/zero; while :; do :; done) | tail"
    docker(
        "run", "-d", "--name", lab.name("busy"), "--cpus=0.3", "--memory=64m", IMAGE, "sh", "-c",
        script,
    )  # fmt: skip
    async with watching(lab) as (_, sink):

        def read() -> bool:
            last = sink.last(lab.name("busy"))
            if last is None or last.container is None or not last.container.cpu_percent:
                return False
            return (last.container.memory_percent or 0) > 30

        await sink.until(read)
        last = sink.last(lab.name("busy"))
        assert last is not None
        assert last.container is not None
        line = docker(
            "stats", "--no-stream", "--format", "{{.CPUPerc}} {{.MemPerc}}", lab.name("busy")
        )
        cpu, memory = (float(part.rstrip("%")) for part in line.split())
        assert last.container.cpu_percent == pytest.approx(cpu, abs=12)
        assert last.container.cpu_percent == pytest.approx(30, abs=12)
        assert last.container.memory_percent == pytest.approx(memory, abs=1)
        assert last.container.memory_limit_bytes == 64 * 2**20
        assert last.metrics["cpu_percent"] == last.container.cpu_percent


async def test_usage_through_the_api_is_the_same(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where cgroup files cannot be read the engine's statistics say the same."""
    from tocsin.plugins.probes.docker_health import stats

    # So much that a few pages do not matter; tail holds it until its input ends.
    hold = "(head -c 20m /dev/zero; sleep 1000) | tail"
    docker("run", "-d", "--name", lab.name("idle"), "--memory=64m", IMAGE, "sh", "-c", hold)
    pid = int(docker("inspect", "-f", "{{.State.Pid}}", lab.name("idle")))
    number = docker("inspect", "-f", "{{.Id}}", lab.name("idle"))
    full = 20 * 2**20

    def used() -> int:
        found = stats.read_cgroup(number, pid, True)
        return 0 if found is None else found.memory_bytes or 0

    await eventually(lambda: used() >= full)
    files = stats.read_cgroup(number, pid, True)
    monkeypatch.setattr(stats, "read_cgroup", lambda *_: None)
    async with watching(lab) as (_, sink):

        def read() -> bool:
            last = sink.last(lab.name("idle"))
            return bool(last and last.container and last.container.memory_bytes)

        await sink.until(read)
        facts = newest(sink, lab.name("idle")).container
        assert facts is not None
        assert files is not None
        assert facts.memory_bytes == pytest.approx(files.memory_bytes, rel=0.1)
        assert facts.memory_limit_bytes == files.memory_limit_bytes
        assert facts.network_rx_bytes == pytest.approx(files.rx_bytes, abs=5000)


async def test_logs_restart_and_inspect(lab: Lab) -> None:
    """Logs come from both streams in order, whatever their length, and restart restarts; the core
    makes lines and documents fit to be shown."""
    script = r"printf 'one\n'; sleep 0.1; printf '\033[31mtwo\033[0m \a\342\200\256evil\n' >&2; sleep 0.1; echo three; sleep 1000"  # noqa: E501
    docker(
        "run", "-d", "--name", lab.name("app"), "--stop-timeout", "0",
        "-e", "DATABASE_URL=postgresql://u:hunter2@db/x", "-e", "PLAIN=visible",
        IMAGE, "sh", "-c", script,
    )  # fmt: skip
    async with watching(lab) as (source, sink):
        await reached(sink, lab.name("app"), Reason.RUNNING)
        await eventually(lambda: "three" in docker("logs", lab.name("app")))
        lines = cleaned_lines(await source.logs(lab.name("app"), 100))
        assert [(line.stream, line.text) for line in lines] == [
            ("stdout", "one"), ("stderr", "two ��evil"), ("stdout", "three"),
        ]  # fmt: skip
        assert lines[0].at is not None
        assert [line.text for line in await source.logs(lab.name("app"), 1)] == ["three"]
        document = clean_data(await source.inspect(lab.name("app")))
        assert "hunter2" not in str(document)
        assert "visible" not in str(document)
        assert any(item.startswith("PLAIN=") for item in document["Config"]["Env"])
        before = newest(sink, lab.name("app")).container
        assert before is not None

        def restarted() -> bool:
            now = newest(sink, lab.name("app")).container
            return now is not None and now.started_at != before.started_at

        await source.restart(lab.name("app"))
        await sink.until(restarted)
        with pytest.raises(ActionError, match="no container") as caught:
            await source.logs("nothing", 1)
        assert caught.value.missing


async def test_long_log_lines_are_cut(lab: Lab) -> None:
    """Forty lines of a megabyte each take little of the loop's time, and say that they were cut."""
    write = (
        "for n in 1 2 3 4 5; do head -c 1000000 /dev/zero | tr '\\\\0' x; echo; done; sleep 1000"
    )
    docker("run", "-d", "--name", lab.name("long"), IMAGE, "sh", "-c", write)
    async with watching(lab) as (source, sink):
        await reached(sink, lab.name("long"), Reason.RUNNING)
        began = time.thread_time()
        lines = cleaned_lines(await source.logs(lab.name("long"), 40))
        assert time.thread_time() - began < 1
        assert lines
        assert all(len(line.text) < 17_000 for line in lines)


async def test_events_are_kept_and_noise_is_not(lab: Lab) -> None:
    """start, kill, die and stop are in the target's history; exec is not."""
    docker("run", "-d", "--name", lab.name("x"), IMAGE, *SLEEP)
    async with watching(lab) as (_, sink):
        docker("exec", lab.name("x"), "true")
        docker("kill", lab.name("x"))
        await sink.until(lambda: any(e.action == "die" for e in sink.events))
        actions = [event.action for event in sink.events]
        assert actions[-2:] == ["kill", "die"]
        assert not any("exec" in action for action in actions)
        die = sink.events[-1]
        assert (die.target, die.attributes["exitCode"]) == (lab.name("x"), "137")


async def test_no_engine_is_one_clear_sentence(tmp_path: Path) -> None:
    """Where no engine answers, the source says which and why, and keeps trying."""
    source = DockerSource(host=f"unix://{tmp_path}/none.sock")
    sink = await check_source_conformance(source)
    assert sink.troubles == [
        f"the Docker Engine at unix://{tmp_path}/none.sock cannot be queried: "
        "there is no such socket"
    ]


async def test_the_source_keeps_to_the_contract() -> None:
    """It passes the testing kit's suite for sources: discovery before results, no thread left."""
    sink = await check_source_conformance(DockerSource())
    assert sink.inventories


async def test_an_engine_that_restarts_is_seen_to_go_and_come_back(
    own_engine: OwnEngine,
) -> None:
    """Stopped, the engine is impaired; started again, its containers are right within moments:
    one kept running by its policy, one that the stop ended. Frozen, it is impaired too."""
    on = own_engine.on
    quick = ("--network=none", "--stop-signal=KILL", IMAGE, *SLEEP)
    docker(*on, "run", "-d", "--name", "kept", "--restart=always", *quick)
    docker(*on, "run", "-d", "--name", "lost", *quick)
    source = DockerWatch(DockerSource(host=f"unix://{own_engine.socket}"))
    sink = RecordingSink()
    task = asyncio.create_task(source.run("docker", 5.0, sink))
    try:
        await reached(sink, "kept", Reason.RUNNING)
        await asyncio.to_thread(own_engine.stop)
        await sink.until(lambda: sink.troubles)
        assert own_engine.socket in sink.troubles[0]
        seen = len(sink.inventories)
        await asyncio.to_thread(own_engine.start)
        await sink.until(lambda: len(sink.inventories) > seen, 60)
        await sink.until(lambda: newest(sink, "kept").status is Status.UP)
        await sink.until(lambda: newest(sink, "lost").status is Status.DOWN)
        process = psutil.Process(own_engine.pid)
        troubles, seen = len(sink.troubles), len(sink.inventories)
        process.suspend()
        try:
            await sink.until(lambda: len(sink.troubles) > troubles)
        finally:
            process.resume()
        await sink.until(lambda: len(sink.inventories) > seen, 60)
    finally:
        task.cancel()
        await asyncio.wait({task})

"""A service and its instances: which containers they are, and what becomes of the service."""

from __future__ import annotations

import copy
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.probes.docker.test_names import COMPOSE, container
from tocsin import REPLICATED, Result, Status, Target
from tocsin.plugins.probes.docker_health.addresses import Addresses
from tocsin.plugins.probes.docker_health.containers import Known as KnownContainer
from tocsin.plugins.probes.docker_health.engine import Engine
from tocsin.plugins.probes.docker_health.facts import IMAGE_LABELS, membership_of
from tocsin.plugins.probes.docker_health.registry import Registry
from tocsin.plugins.probes.docker_health.source import DockerSource
from tocsin.plugins.probes.docker_health.telling import Teller
from tocsin.testing import RecordingSink


def replica(
    number: int, service: str = "api", project: str = "shop", **labels: str
) -> dict[str, Any]:
    """One of several containers of a service that Compose has made."""
    named = {
        "com.docker.compose.service": service, "com.docker.compose.project": project,
        "com.docker.compose.container-number": str(number),
    }  # fmt: skip
    identity = sum(map(ord, project + service)) * 100 + number
    return _made(identity, f"{project}-{service}-{number}", {**COMPOSE, **named, **labels})


def task(slot: int, number: int, service: str = "web") -> dict[str, Any]:
    """A container of a Swarm service: the ``number``-th task in a slot."""
    name = f"{service}.{slot}.{number:025d}"
    labels = {
        "com.docker.swarm.service.name": service, "com.docker.swarm.task.name": name,
        "com.docker.swarm.task.id": f"{number:025d}",
    }  # fmt: skip
    return _made(1000 * slot + number, name, labels)


def pod(name: str, uid: str = "u1", attempt: int = 0, **more: Any) -> dict[str, Any]:
    """A container that a kubelet has made."""
    kind = more.get("container", "web")
    identity = sum(map(ord, kind + name + uid)) * 10 + attempt
    return _made(identity, f"k8s_{kind}_{name}_default_{uid}_{attempt}", {})


def _made(number: int, name: str, labels: dict[str, str]) -> dict[str, Any]:
    image: dict[str, Any] = {IMAGE_LABELS: {}}
    made = f"2026-01-01T00:{number // 60 % 60:02d}:{number % 60:02d}Z"
    return container(number, name, labels=labels, Created=made, **image)


def stamp(seconds: float) -> str:
    """Seconds since 1970 as an engine writes them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@define
class Scene:
    """A registry, and what is told of it."""

    registry: Registry = field(factory=Registry)
    sink: RecordingSink = field(factory=RecordingSink)
    teller: Teller = field(init=False)

    def __attrs_post_init__(self) -> None:
        engine = Engine(DockerSource().client)  # nobody asks it
        addresses = Addresses("unix:///x")
        self.teller = Teller("docker", self.sink, self.registry, addresses, engine)

    def see(self, *documents: dict[str, Any]) -> None:
        """Containers are there, and run."""
        for document in documents:
            self.registry.put(document, time.monotonic())
        for document in documents:
            slot, known = self.found(document)
            known.started()
            self.teller.discover(slot)
            self.teller.tell(slot)

    def create(self, document: dict[str, Any]) -> None:
        """A container is made, and has yet to start."""
        document["State"] = {"Status": "created"}
        slot, _ = self.registry.put(document, time.monotonic())
        self.teller.discover(slot)
        self.teller.tell(slot)

    def found(self, document: dict[str, Any]) -> tuple[Any, KnownContainer]:
        found = self.registry.find(document["Id"])
        assert found is not None
        return found

    def end(
        self, document: dict[str, Any], code: int = 1, signal: str | None = None, **times: float
    ) -> None:
        """A container ends, by itself or by a signal; ``times`` are the engine's, in seconds."""
        slot, known = self.found(document)
        if signal is not None:
            known.killed(signal)
        known.ended(time.time(), code)
        told = {name: stamp(seconds) for name, seconds in times.items()}
        document["State"] = {"Status": "exited", "ExitCode": code, **told}
        self.teller.tell(slot)

    def remove(self, document: dict[str, Any]) -> None:
        """A container is removed, and its target retired."""
        slot, known = self.found(document)
        self.registry.drop(document["Id"])
        if not slot.members:
            self.teller.tell_removed(slot, known)
            self.registry.retire(slot)
            self.sink.retired(slot.target, "removed on purpose")
            self.teller.arrange()

    def last(self, target: str) -> Result:
        result = self.sink.last(target)
        assert result is not None
        return result

    def targets(self) -> set[str]:
        return set(self.registry.targets())


def test_a_service_of_one_container_is_that_container() -> None:
    """It is no target beside it; who depends on the service depends on the container."""
    scene = Scene()
    scene.see(replica(1))
    assert scene.targets() == {"shop-api-1"}
    assert scene.sink.targets["shop-api-1"].service is None
    assert scene.registry.of_service("shop", "api") == ["shop-api-1"]
    assert scene.sink.claims["shop-api-1"].also == ("api", "shop-api")


def test_a_service_is_degraded_while_some_of_its_replicas_serve() -> None:
    """And down when none does; each says which, and why."""
    scene, replicas = Scene(), [replica(n) for n in (1, 2, 3)]
    scene.see(*replicas)
    assert scene.targets() == {"api", "shop-api-1", "shop-api-2", "shop-api-3"}
    assert scene.sink.targets["api"].kind == REPLICATED
    assert {scene.sink.targets[f"shop-api-{n}"].service for n in (1, 2, 3)} == {"api"}
    assert (scene.last("api").status, scene.last("api").message) == ("up", "all 3 replicas run")
    scene.end(replicas[2])
    assert scene.last("api").status == "degraded"
    said = "2 of 3 replicas serve: shop-api-3: crashed with exit code 1"
    assert scene.last("api").message == said
    assert scene.last("api").metrics == {"replicas": 3, "replicas_down": 1}
    for each in replicas[:2]:
        scene.end(each)
    assert scene.last("api").status == "down"
    assert scene.last("api").message.startswith("none of its 3 replicas serves: shop-api-1: ")
    replicas[0]["State"] = {"Status": "running"}
    scene.see(replicas[0])
    assert scene.last("api").status == "degraded"


def test_who_depends_on_a_service_depends_on_its_target() -> None:
    """From the moment at which there are several instances on, as long as one is there."""
    scene = Scene()
    scene.see(replica(1))
    labels = {"com.docker.compose.depends_on": "api:service_started:false"}
    scene.see(replica(1, "web", **labels))
    assert scene.sink.targets["shop-web-1"].depends_on == ("shop-api-1",)
    scene.see(replica(2))
    assert scene.sink.targets["shop-web-1"].depends_on == ("api",)
    assert scene.sink.targets["shop-api-1"].depends_on == ("api",)
    scene.remove(replica(1))
    assert scene.targets() == {"api", "shop-api-2", "shop-web-1"}
    assert scene.last("api").message == "1 replica runs"
    scene.remove(replica(2))
    assert scene.targets() == {"shop-web-1"}
    assert ("api", "removed on purpose") in scene.sink.gone
    assert not scene.sink.targets["shop-web-1"].depends_on


def test_services_of_the_same_name_have_their_projects_in_front() -> None:
    """Whichever of them is there first; and so has one that is called like a container."""
    for projects in (("shop", "lab"), ("lab", "shop")):
        scene = Scene()
        for project in projects:
            scene.see(*(replica(n, project=project) for n in (1, 2)))
        assert scene.targets() >= {"shop-api", "lab-api"}
        assert "api" not in scene.targets()
    scene = Scene()
    scene.see(replica(1), replica(2))
    scene.see(container(7, "api"))
    assert scene.targets() == {"api", "shop-api", "shop-api-1", "shop-api-2"}
    assert scene.sink.targets["api"].kind == "container"
    assert ("api", "renamed") in scene.sink.gone


def test_what_its_replicas_are_asked_for_is_asked_of_the_service() -> None:
    """A name, criticality and dependencies are the service's; checks are its instances'."""
    scene = Scene()
    asks = {"tocsin.name": "pay", "tocsin.critical": "true", "tocsin.depends_on": "db"}
    scene.see(*(replica(n, **asks, **{"tocsin.tcp": "h:1"}) for n in (1, 2)))
    service = scene.sink.targets["api"]
    assert (service.critical, service.depends_on) == (True, ("db",))
    assert scene.sink.claims["api"].name == "pay"
    assert scene.sink.claims["shop-api-1"].name is None
    assert scene.sink.targets["shop-api-1"].depends_on == ("api",)
    assert list(scene.sink.checks["shop-api-2"]) == ["tcp"]
    assert scene.sink.checks["api"] == {}


def test_a_task_that_swarm_replaces_is_no_failure() -> None:
    """Swarm stops a container and makes another one, under another name: what is left of the old
    one is no target any more, and the service goes on."""
    scene, old, new = Scene(), [task(1, 1), task(2, 1)], [task(1, 2), task(2, 2)]
    scene.see(*old)
    assert scene.last("web").message == "all 2 replicas run"
    for before, after in zip(old, new, strict=True):
        scene.end(before, 143, signal="15")
        assert scene.last("web").status == "up"
        scene.see(after)
    assert scene.targets() == {"web", *(each["Name"][1:] for each in new)}
    assert {name for name, _ in scene.sink.gone} == {each["Name"][1:] for each in old}
    assert scene.last("web").message == "all 2 replicas run"


def test_a_task_that_fails_is_down_until_it_is_replaced() -> None:
    """One that crashed is told; as the next one in its place begins, it is left behind."""
    scene, first, second = Scene(), task(1, 1), task(2, 1)
    scene.see(first, second)
    scene.end(first, 1)
    assert scene.last("web").message.startswith("1 of 2 replicas serves: web.1.")
    scene.see(task(1, 2))
    assert scene.last("web").message == "all 2 replicas run"
    assert first["Name"][1:] not in scene.targets()


def test_a_task_that_fails_again_and_again_is_down_though_each_try_runs() -> None:
    """Each try is a container of its own, which never restarts: the service is down all the while,
    or degraded where another task serves; stops are no failures."""
    for others in ([], [task(2, 1)]):
        scene, tries = Scene(), [task(1, n) for n in range(1, 6)]
        scene.see(tries[0], *others)
        for n in (0, 1, 2):
            scene.end(tries[n], 3)
            scene.see(tries[n + 1])
        said = scene.last("web")
        assert said.status == ("degraded" if others else "down")
        assert "restart loop: 3 ends in 1s, last exit code 3" in said.message
        slot, known = scene.found(tries[3])
        known.began -= 11
        scene.teller.tell_all([slot])
        assert scene.last("web").status == "up"
        assert said.metrics["replicas_down"] == 1
    scene, tries = Scene(), [task(1, n) for n in range(1, 6)]
    scene.see(tries[0])
    for n in range(4):
        scene.end(tries[n], 143, signal="15")
        scene.see(tries[n + 1])
    assert scene.last("web").status == "up"


def test_a_service_whose_only_task_is_replaced_is_not_down() -> None:
    """It is degraded for the while."""
    scene, only = Scene(), task(1, 1)
    scene.see(only)
    scene.end(only, 0, signal="15")
    assert scene.last("web").status == "degraded"
    assert scene.last("web").message == "being replaced by its orchestrator"
    assert scene.targets() == {"web"}
    scene.see(task(1, 2))
    assert scene.last("web").status == "up"


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("web-7d9f8c6b5d-x2v4k", "web"), ("web-0", "web"), ("web-x2v4k", "web"), ("web", "web"),
        ("web-28391040-x2v4k", "web"), ("front-7d9f8c6b5d-x2v4k", "front-web"),
    ],
)  # fmt: skip
def test_a_pod_is_of_its_workload(name: str, service: str) -> None:
    """Deployments, CronJobs, DaemonSets and StatefulSets, each names its pods in its own way; a
    container that is not called like its workload has its own name behind."""
    of = membership_of(pod(name))
    assert of is not None
    assert of.names == (service, f"default-{service}")


def test_what_a_kubelet_restarts_is_the_same_service() -> None:
    """The next attempt has another name and replaces the one that failed; a new pod does so, too;
    the container that holds a pod's network is no service."""
    scene, first = Scene(), pod("web-7d9f8c6b5d-x2v4k")
    scene.see(first)
    scene.end(first, 1)
    assert scene.last("web").status == "down"
    assert scene.last("web").message == "crashed with exit code 1"
    again = pod("web-7d9f8c6b5d-x2v4k", attempt=1)
    scene.see(again)
    assert scene.last("web").status == "up"
    scene.see(pod("web-7d9f8c6b5d-zzzzz", uid="u9"))
    scene.end(again, 143, signal="15")
    assert (scene.last("web").status, scene.last("web").message) == ("up", "1 replica runs")
    assert membership_of(pod("web-7d9f8c6b5d-x2v4k", container="POD")) is None


def test_an_instance_that_cannot_be_understood_costs_the_others_nothing() -> None:
    """It is unknown, and the service says which one it is."""
    scene, odd, other = Scene(), task(1, 1), task(2, 1)
    scene.see(odd, other)
    odd["RestartCount"] = "many"
    scene.end(odd, 143, signal="15")
    assert scene.last("web").status == "up"
    assert scene.last("web").message.startswith("1 of 2 replicas run: web.1.")
    scene.end(other)
    assert (scene.last("web").status, scene.last("web").metrics["replicas_down"]) == ("unknown", 1)


def test_nothing_that_does_not_run_serves() -> None:
    """With one down and the other not seen the service is unknown; with one made anew, or all, it
    is about to serve, which is no recovery."""
    scene, (one, other) = Scene(), [replica(n) for n in (1, 2)]
    scene.see(one, other)
    scene.end(one)
    scene.end(other)
    slot, known = scene.found(other)
    known.misses = 2
    scene.teller.tell(slot)
    assert scene.last("api").status == "unknown"
    known.misses, slot.replacing = 0, 1.0
    scene.teller.tell(slot)
    assert (scene.last("api").status, scene.last("api").attributes) == (
        "degraded",
        {"replacing": True},
    )
    assert scene.last("api").message.startswith("0 of 2 replicas serve: ")
    scene.found(one)[0].replacing = 1.0
    scene.teller.tell(scene.found(one)[0])
    assert scene.last("api").attributes == {"replacing": True}


def test_tasks_that_are_stopped_as_unhealthy_again_and_again_are_a_loop() -> None:
    """Swarm stops a task whose health check fails and begins another: no rollout."""
    scene, tries = Scene(), [task(1, n) for n in range(1, 5)]
    for number, each in enumerate(tries):
        each["State"] = {"Status": "running", "Health": {"Status": "unhealthy"}}
        scene.see(each)
        if number < 3:
            scene.end(each, 143, signal="15")
    assert scene.last("web").status == "down"
    assert scene.last("web").message == "restart loop: 3 ends in 1s, stopped as unhealthy"


def test_a_loop_goes_on_while_nothing_is_there() -> None:
    """Between two tries that are stopped as unhealthy the service is down, as it is while one runs;
    where others serve it is degraded, and counts it."""
    for others in ((), (task(2, 1),)):
        scene, tries = Scene(), [task(1, n) for n in range(1, 5)]
        scene.see(*others)
        for each in tries:
            each["State"] = {"Status": "running", "Health": {"Status": "unhealthy"}}
            scene.see(each)
            scene.end(each, 143, signal="15")
        last = scene.last("web")
        assert last.status == ("degraded" if others else "down")
        assert "restart loop: 4 ends" in last.message
        assert last.metrics["replicas_down"] == 1


def test_what_could_not_be_started_is_replaced_like_what_has_ended() -> None:
    """A wrong command, mended by a rollout; or the service is scaled to none."""
    tries = [task(1, n) for n in range(1, 6)]
    for mended in (True, False):
        scene = Scene()
        for each in tries[:4]:
            each = copy.deepcopy(each)
            each["State"] = {"Status": "created", "ExitCode": 127, "Error": "no such program"}
            slot, _ = scene.registry.put(each, time.monotonic())
            scene.teller.discover(slot)
            scene.teller.tell(slot)
        assert scene.last("web").status == "down"
        if mended:
            fit = copy.deepcopy(tries[4])
            scene.see(fit)
            slot, known = scene.found(fit)
            known.began -= 11
            scene.teller.tell_all([slot])
            assert (scene.last("web").status, scene.last("web").message) == ("up", "1 replica runs")
        else:
            slot, _ = scene.found(tries[3])
            slot.service.dismissed = True
            scene.registry.services.changed[slot.service] = None
            scene.teller.arrange()
            assert scene.last("web").attributes == {"replacing": True}


def test_a_replica_that_completes_hides_no_other_that_crashed() -> None:
    """Of a service of Swarm, or of a Deployment; a job is another matter."""
    scene, one, other = Scene(), task(1, 1), task(2, 1)
    scene.see(one, other)
    scene.end(one, 3)
    scene.end(other, 0)
    assert scene.last("web").message == "crashed with exit code 3"
    assert membership_of(pod("web-7d9f8c6b5d-x2v4k")).may_complete is False  # type: ignore[union-attr]
    assert membership_of(pod("web-x2v4k")).may_complete is True  # type: ignore[union-attr]
    assert membership_of(pod("web-0")).may_complete is False  # type: ignore[union-attr]


def test_a_service_that_is_wanted_again_is_not_dismissed() -> None:
    """Though its new task ends before it was seen to run."""
    scene, tries = Scene(), [task(1, n) for n in range(1, 4)]
    scene.see(tries[0])
    scene.end(tries[0], 3)
    service = scene.found(tries[0])[0].service
    service.dismissed, scene.registry.services.changed[service] = True, None
    scene.teller.arrange()
    scene.create(tries[1])
    assert service.dismissed is False
    scene.end(tries[1], 3)
    assert scene.last("web").message == "crashed with exit code 3"


def test_a_loop_found_at_the_start_goes_on() -> None:
    """How long a container has run that was not seen to start, its engine says."""
    scene, tries = Scene(), [task(1, n) for n in range(1, 5)]
    scene.see(tries[0])
    for n in range(3):
        ended = time.time() - 100 + 30 * n
        scene.end(tries[n], 3)
        tries[n]["State"]["FinishedAt"] = datetime.fromtimestamp(ended, UTC).isoformat()
        scene.see(tries[n + 1])
    slot, known = scene.found(tries[3])
    known.began = 0.0
    for ago, status in ((12, "down"), (31, "up")):
        started = datetime.fromtimestamp(time.time() - ago, UTC).isoformat()
        tries[3]["State"] = {"Status": "running", "StartedAt": started}
        scene.teller.tell_all([slot])
        assert scene.last("web").status == status, ago


def test_a_job_made_anew_by_a_schedule_is_no_loop() -> None:
    """Each minute a task does its work, though its container may be made long before; where it is
    started anew at once, it does not stay up."""
    for pause, status in ((60, "up"), (5, "down")):
        scene, now = Scene(), time.time()
        tries = [task(1, n) for n in range(1, 6)]
        scene.see(tries[0])
        for n in range(4):
            over = now - (4 - n) * (pause + 1) + 1
            scene.end(tries[n], 0, StartedAt=over - 1, FinishedAt=over)
            scene.see(tries[n + 1])
        assert scene.last("web").status == status, pause


def test_what_was_outlasted_is_no_loop_again() -> None:
    """A task crashed three times, then stayed up; somebody deploys anew a little later."""
    scene, now = Scene(), time.time()
    tries = [task(1, n) for n in range(1, 6)]
    scene.see(tries[0])
    for n in range(3):
        began = now - 200 + 10 * n
        scene.end(tries[n], 3, StartedAt=began, FinishedAt=began + 5)
        scene.see(tries[n + 1])
    scene.end(tries[3], 143, signal="15", StartedAt=now - 170, FinishedAt=now)
    assert scene.last("web").message == "being replaced by its orchestrator"
    scene.see(tries[4])
    assert scene.last("web").status == "up"


def test_a_task_that_fails_after_any_time_is_a_loop() -> None:
    """One try that lasts longer than those before it is no sign that the next one will."""
    runs = (5, 20, 8, 40, 12)
    scene, tries = Scene(), [task(1, n) for n in range(len(runs) + 1)]
    began = time.time() - sum(runs) - 5 * len(runs)
    scene.see(tries[0])
    for n, seconds in enumerate(runs):
        scene.end(tries[n], 3, StartedAt=began, FinishedAt=began + seconds)
        began += seconds + 5
        scene.see(tries[n + 1])
    assert scene.last("web").status == "down"
    assert "restart loop: 5 ends" in scene.last("web").message


def test_a_start_that_failed_long_ago_is_no_end_of_today() -> None:
    """Swarm keeps such containers for long."""
    scene, tries = Scene(), [task(1, n) for n in range(1, 5)]
    for each in tries[:3]:
        each["State"] = {"Status": "created", "ExitCode": 127, "Error": "no such program"}
        slot, _ = scene.registry.put(each, time.monotonic())
        scene.teller.discover(slot)
        scene.teller.tell(slot)
    scene.see(tries[3])
    assert (scene.last("web").status, scene.last("web").message) == ("up", "1 replica runs")


def test_a_job_that_completes_at_last_is_done() -> None:
    """Whatever its tries before came to; once it is clear that nothing follows."""
    for ago, status in ((5, "down"), (20, "up")):
        scene, tries, now = Scene(), [task(1, n) for n in range(1, 5)], time.time()
        scene.see(tries[0])
        for n in range(3):
            over = now - 60 + 10 * n
            scene.end(tries[n], 3, StartedAt=over - 1, FinishedAt=over)
            scene.see(tries[n + 1])
        scene.end(tries[3], 0, StartedAt=now - ago - 1, FinishedAt=now - ago)
        assert scene.last("web").status == status, ago
    assert scene.last("web").message == "completed, exit code 0"


def test_an_exit_of_0_among_failures_is_no_recovery() -> None:
    """Of a task that is kept up, and of a pod that is no job."""
    tasks = [task(1, n) for n in range(1, 7)]
    for tries in (tasks, [pod("web-7d9f8c6b5d-x2v4k", attempt=n) for n in range(6)]):
        scene = Scene()
        scene.see(tries[0])
        for n, code in enumerate((3, 3, 3, 0, 3)):
            over = time.time() - 10 + n
            scene.end(tries[n], code, StartedAt=over - 0.5, FinishedAt=over)
            if n > 2:
                assert scene.last("web").status == "down", n
            scene.see(tries[n + 1])
        assert "restart loop: 5 ends" in scene.last("web").message


def test_one_that_runs_on_beside_a_loop_ends_it_not() -> None:
    """A rollout that starts the new task first: the old one runs while each new one crashes, and
    Swarm stops it in the end."""
    scene, now = Scene(), time.time()
    old, *tries = [task(1, n) for n in range(1, 7)]
    scene.see(old)
    scene.found(old)[1].began -= 3600
    scene.see(tries[0])
    for n in range(4):
        over = now - 40 + 10 * n
        scene.end(tries[n], 3, StartedAt=over - 2, FinishedAt=over)
        scene.see(tries[n + 1])
        assert scene.last("web").metrics["replicas"] == 2
    said = scene.last("web")
    assert (said.status, said.metrics["replicas_down"]) == ("degraded", 1)
    assert "restart loop: 4 ends" in said.message
    scene.end(old, 143, signal="15", StartedAt=now - 3600, FinishedAt=now)
    assert scene.last("web").status == "down"
    assert "restart loop: 4 ends" in scene.last("web").message


def test_each_end_counts_once() -> None:
    """Though a service is scaled to none in between, and back."""
    scene, tries = Scene(), [task(1, n) for n in range(1, 4)]
    scene.see(tries[0])
    scene.end(tries[0], 3)
    scene.see(tries[1])
    scene.end(tries[1], 3)
    service = scene.found(tries[1])[0].service
    for dismissed in (True, False, True, False):
        service.dismissed, scene.registry.services.changed[service] = dismissed, None
        scene.teller.arrange()
    scene.see(tries[2])
    assert (scene.last("web").status, scene.last("web").message) == ("up", "1 replica runs")


def test_of_two_pods_the_older_one_may_be_the_loop() -> None:
    """That another one is newer does not mean that it has replaced it."""
    scene = Scene()
    tries = [pod("web-7d9f8c6b5d-x2v4k", attempt=n) for n in range(5)]
    well = {**pod("web-7d9f8c6b5d-q8w5z", uid="u2"), "Created": "2026-01-02T00:00:00Z"}
    scene.see(tries[0], well)
    for n in range(3):
        scene.end(tries[n], 3)
        scene.see(tries[n + 1])
    scene.end(tries[3], 143, signal="15")
    assert scene.last("web").status == "degraded"
    assert "restart loop: 3 ends" in scene.last("web").message


def test_a_pod_that_a_rollout_has_replaced_leaves_no_loop() -> None:
    """Its containers stay for a while after it was stopped."""
    scene = Scene()
    old = [pod("web-7d9f8c6b5d-x2v4k", attempt=n) for n in range(4)]
    scene.see(old[0])
    for n in range(3):
        scene.end(old[n], 3)
        scene.see(old[n + 1])
    new = {**pod("web-5c4b7d8f9b-q8w5z", uid="u2"), "Created": "2026-01-02T00:00:00Z"}
    scene.see(new)
    scene.end(old[3], 143, signal="15")
    assert (scene.last("web").status, scene.last("web").message) == ("up", "1 replica runs")


def test_what_is_left_of_a_task_brings_nothing_back_when_it_is_removed() -> None:
    """Neither it nor its service, whose orchestrator has given it up; nor is it forgotten that a
    task should run."""
    scene, only = Scene(), task(1, 1)
    scene.see(only)
    scene.end(only, 0, signal="15")
    service = scene.found(only)[0].service
    service.lacking = "No such image"
    scene.teller.tell_service(service)
    assert scene.last("web").message == "no instance of it runs: No such image"
    slot, known = scene.found(only)
    scene.registry.drop(only["Id"])
    scene.teller.tell_removed(slot, known)
    assert scene.targets() == {"web"}
    scene.registry.retire(slot)
    scene.teller.arrange()
    assert scene.targets() == {"web"}
    assert scene.last("web").status == "down"
    scene.see(task(1, 2))
    assert scene.last("web").status == "up"


def test_an_older_task_is_not_the_instance_again() -> None:
    """A service is scaled to nothing while its tasks fail: Swarm removes the container of the
    newest task, and leaves those of older ones. None of it is down then; nor is a job."""
    scene, tries = Scene(), [task(1, n) for n in range(1, 4)]
    scene.see(tries[0])
    for n in (0, 1):
        scene.end(tries[n], 3)
        scene.see(tries[n + 1])
    scene.end(tries[2], 137, signal="9")
    scene.remove(tries[2])
    assert scene.last("web").attributes == {"replacing": True}
    assert scene.targets() == {"web"}
    scene, failed = Scene(), pod("web-28391040-x2v4k")
    done = {**pod("web-28391041-x2v4k", uid="u2"), "Created": "2026-01-02T00:00:00Z"}
    scene.see(failed)
    scene.end(failed)
    scene.see(done)
    scene.end(done, 0)
    scene.remove(done)
    assert scene.last("web").status == "degraded"


def test_a_failed_task_of_a_service_that_is_to_run_none_is_no_failure() -> None:
    """Until the service runs again, which begins anew."""
    scene, tries = Scene(), [task(1, n) for n in range(1, 6)]
    scene.see(tries[0])
    for n in range(3):
        scene.end(tries[n], 3)
        scene.see(tries[n + 1])
    scene.end(tries[3], 3)
    assert scene.last("web").message.startswith("restart loop: ")
    service = scene.found(tries[3])[0].service
    service.dismissed, scene.registry.services.changed[service] = True, None
    scene.teller.arrange()
    assert scene.last("web").message == "being replaced by its orchestrator"
    service.over = scene.registry.services.stale = True
    scene.teller.arrange()
    assert scene.sink.gone[-1] == ("web", "stopped by its orchestrator")
    scene.see(tries[4])
    assert scene.last("web").message == "1 replica runs"
    scene.end(tries[4], 3)
    assert scene.last("web").status == "down"


def test_a_task_that_has_yet_to_start_is_an_instance_where_no_other_is() -> None:
    """In a rollout it waits for the one before it; that one being gone, and failed, it is no reason
    to call the service well, nor down."""
    scene, old, other, new = Scene(), task(1, 1), task(2, 1), task(1, 2)
    scene.see(old, other)
    scene.create(new)
    assert scene.last("web").message == "all 2 replicas run"
    scene.end(old, 3)
    said = [result.message for result in scene.sink.results["web"]]
    assert "1 replica runs" not in said
    assert scene.last("web").message.startswith("1 of 2 replicas run: web.1.")
    scene.end(other, 3)
    assert scene.last("web").status == "unknown"
    scene.see(new)
    assert scene.last("web").metrics == {"replicas": 2, "replicas_down": 1}
    assert Status.DOWN not in {result.status for result in scene.sink.results["web"]}


def test_the_newest_run_of_a_job_counts() -> None:
    """A pod of a CronJob that failed is no failure once a later one has completed."""
    scene, failed = Scene(), pod("web-28391040-x2v4k")
    done = {**pod("web-28391041-x2v4k", uid="u2"), "Created": "2026-01-02T00:00:00Z"}
    scene.see(failed)
    scene.end(failed)
    assert scene.last("web").status == "down"
    scene.see(done)
    scene.end(done, 0)
    assert (scene.last("web").status, scene.last("web").message) == ("up", "completed, exit code 0")


def test_a_container_whose_image_cannot_be_read_for_now_stays_an_instance() -> None:
    """What is known of its service is not forgotten."""
    scene, replicas = Scene(), [replica(n) for n in (1, 2)]
    scene.see(*replicas)
    scene.see({**replicas[0], IMAGE_LABELS: None}, {**replicas[1], IMAGE_LABELS: None})
    assert "api" in scene.targets()


def test_ends_are_told_by_the_engine_s_clock() -> None:
    """Which may be minutes behind ours."""
    scene, tries = Scene(), [task(1, n) for n in range(1, 5)]
    scene.teller._engine.ahead = -400.0
    scene.see(tries[0])
    for n in range(3):
        scene.end(tries[n], 3)
        tries[n]["State"]["FinishedAt"] = datetime.fromtimestamp(time.time() - 400, UTC).isoformat()
        scene.see(tries[n + 1])
    assert scene.last("web").status == "down"


@define
class Known(RecordingSink):
    """Keeps which targets are there, by what it is told, in order."""

    there: set[str] = field(factory=set)

    def discovered(self, target: Target, *others: Any) -> None:
        super().discovered(target, *others)
        self.there.add(target.name)

    def retired(self, target: str, message: str) -> None:
        super().retired(target, message)
        self.there.discard(target)


CAST = [
    *(replica(n) for n in (1, 2, 3)), *(replica(n, project="lab") for n in (1, 2)),
    task(1, 1, "api"), task(1, 2, "api"), task(2, 1, "api"), container(7, "api"),
    pod("api-0", container="api"), pod("api-0", container="api", attempt=1),
]  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(range(len(CAST))), st.sampled_from("seskr"))))
def test_the_targets_that_were_told_of_are_those_there_are(acts: list[tuple[int, str]]) -> None:
    """However containers of services with one name come, end, are stopped and removed: no two
    targets share a name, whoever is told of them knows each, and no other, and an instance is one
    of a target that is there."""
    sink = Known()
    scene, documents = Scene(sink=sink), [copy.deepcopy(one) for one in CAST]
    for which, act in acts:
        document = documents[which]
        known = scene.registry.find(document["Id"])
        if act == "s":
            document["State"] = {"Status": "running"}
            scene.see(document)
        elif known is not None and act in "ek":
            scene.end(document, 1, signal="15" if act == "k" else None)
        elif known is not None and act == "r":
            scene.remove(document)
        targets = scene.registry.targets()
        assert len(targets) == len(set(targets))
        assert sink.there == set(targets)
        for name in targets:
            service = sink.targets[name].service
            assert service is None or service in targets
            assert set(sink.targets[name].depends_on) <= set(targets)


def test_nobody_is_of_a_service_by_the_labels_of_an_image() -> None:
    """Neither of Swarm's nor of Compose's; nor by a name that is none."""
    labels = {"com.docker.swarm.service.name": "web", "com.docker.swarm.task.name": "web.1.x"}
    document = container(1, "x", labels=labels)
    for of_image in (labels, None):
        assert membership_of({**document, IMAGE_LABELS: of_image}) is None
    assert membership_of({**document, IMAGE_LABELS: {}}) is not None
    labels["com.docker.swarm.service.name"] = "we\u202eb"
    assert membership_of({**document, IMAGE_LABELS: {}}) is None
    assert membership_of(container(1, "k8s_a_b_c_d")) is None

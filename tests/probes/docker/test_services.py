"""A service and its instances: which containers they are, and what becomes of the service."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from tests.probes.docker.scene import Scene, pod, replica, task
from tocsin import REPLICATED, Status
from tocsin.plugins.probes.docker_health.facts import IMAGE_LABELS, membership_of


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

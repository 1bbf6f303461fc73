"""Replicas that do not stay up: what is a restart loop of a service, and what ends it."""

from __future__ import annotations

import copy
import time
from datetime import UTC, datetime

from tests.probes.docker.scene import Scene, pod, task


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

"""Which services are targets of the core, and what the core is told of them."""

from __future__ import annotations

import copy
from typing import Any

from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.probes.docker.scene import Scene, pod, replica, task
from tests.probes.docker.test_names import container
from tocsin import Target
from tocsin.plugins.probes.docker_health.facts import IMAGE_LABELS, membership_of
from tocsin.testing import RecordingSink


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

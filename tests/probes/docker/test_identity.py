"""Who is who, against a real engine: no container stands for another one's life or death."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import need
from tests.probes.docker.lab import IMAGE, Lab, docker, newest, reached, watching
from tests.probes.docker.proxy import before_the_engine
from tocsin import Reason, Status

pytestmark = pytest.mark.docker
Bake = Callable[[list[str]], str]
POLITE = ("sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait")


def compose(lab: Lab, **more: str) -> list[str]:
    """The labels that Compose gives the first container of the service web of the lab's project."""
    labels = {
        "project": lab.prefix, "service": "web", "container-number": "1", "config-hash": "0a1b",
        **{key.replace("_", "-"): value for key, value in more.items()},
    }  # fmt: skip
    return [f"com.docker.compose.{key}={value}" for key, value in labels.items() if value]


def given(labels: list[str]) -> list[str]:
    """As options of ``docker run``."""
    return [part for label in labels for part in ("--label", label)]


@pytest.fixture
def bake(lab: Lab) -> Iterator[Bake]:
    """Makes images with labels of their own; gives their names."""
    made: list[str] = []

    def make(labels: list[str]) -> str:
        name = f"{lab.prefix}:{len(made)}"
        source = docker("create", "--name", lab.name(f"source{len(made)}"), IMAGE, "true")
        changes = [part for label in labels for part in ("-c", f"LABEL {label}")]
        docker("commit", *changes, source, name)
        docker("rm", source)
        made.append(name)
        return name

    yield make
    lab.clean()
    for name in made:
        docker("rmi", "-f", name, check=False)


def run(lab: Lab, short: str, image: str, *options: str) -> str:
    docker("run", "-d", "--name", lab.name(short), "--network=none", *options, image, *POLITE)
    return lab.name(short)


@pytest.mark.parametrize("first", [True, False])
async def test_an_image_joins_no_service(lab: Lab, bake: Bake, first: bool) -> None:
    """Labels of Compose that come with an image, all of them or those that Compose writes on images
    that it builds, make a container no part of a service, whichever was there first, also before
    tocsin: the service's own is told as stopped while it runs, and is not in its project."""
    images = [bake(compose(lab)), bake(compose(lab, config_hash="", container_number=""))]
    if first:
        for n, image in enumerate(images):
            run(lab, f"evil{n}", image)
    web = run(lab, "web", IMAGE, *given(compose(lab)))
    async with watching(lab) as (_, sink):
        if not first:
            for n, image in enumerate(images):
                run(lab, f"evil{n}", image)
        for name in (web, lab.name("evil0"), lab.name("evil1")):
            await reached(sink, name, Reason.RUNNING)
        facts, strange = newest(sink, web).container, newest(sink, lab.name("evil0")).container
        assert facts is not None
        assert strange is not None
        assert (facts.project, facts.service, strange.project) == (lab.prefix, "web", None)
        await asyncio.to_thread(docker, "stop", web)
        assert (await reached(sink, web, Reason.STOPPED)).status is Status.DOWN
        assert newest(sink, lab.name("evil1")).status is Status.UP


@pytest.mark.parametrize("watched", [True, False])
async def test_of_two_that_run_as_the_same_each_is_told(lab: Lab, watched: bool) -> None:
    """Whoever gives a container all labels of another one's place hides nothing by it: while both
    run each is a target, and the end of either is told, of the first and of the second."""
    names = []
    if not watched:
        names = [run(lab, s, IMAGE, *given(compose(lab))) for s in ("web", "evil")]
    async with watching(lab) as (_, sink):
        if watched:
            names = [run(lab, s, IMAGE, *given(compose(lab))) for s in ("web", "evil")]
        for name in names:
            await reached(sink, name, Reason.RUNNING)
        for name in names:
            await asyncio.to_thread(docker, "kill", name)
            assert (await reached(sink, name, Reason.STOPPED)).status is Status.DOWN
            await asyncio.to_thread(docker, "start", name)
            await sink.until(lambda: newest(sink, name).status is Status.UP)  # noqa: B023
        assert set(sink.targets) == set(names)


@pytest.mark.parametrize("labels", [(), ("project", "service")], ids=["no labels", "some labels"])
async def test_a_name_as_of_a_redeploy_hides_nothing(lab: Lab, labels: tuple[str, ...]) -> None:
    """A container whose name looks like that of one which Compose is replacing is another target
    while both run."""
    docker("run", "-d", "--name", lab.name("pay"), "--network=none", IMAGE, *POLITE)
    false = f"0123456789ab_{lab.name('pay')}"
    async with watching(lab) as (_, sink):
        await reached(sink, lab.name("pay"), Reason.RUNNING)
        some = [each for each in compose(lab) if each.split("=")[0].rpartition(".")[2] in labels]
        docker("run", "-d", "--name", false, *given(some), "--network=none", IMAGE, *POLITE)
        await sink.until(lambda: len(sink.targets) == 2)
        await asyncio.to_thread(docker, "kill", lab.name("pay"))
        assert (await reached(sink, lab.name("pay"), Reason.STOPPED)).status is Status.DOWN


SERVICE = """
version: "2.4"
services:
  web:
    image: {image}
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
    environment: {{VERSION: "{version}"}}
    network_mode: none
    stop_grace_period: 2s
"""


@pytest.mark.parametrize("seen", [True, False], ids=["image seen", "image not seen"])
async def test_a_redeploy_of_an_image_that_compose_built_is_no_outage(
    lab: Lab, bake: Bake, tmp_path: Path, seen: bool
) -> None:
    """Compose labels the images that it builds with project and service: a container of such an
    image that is made anew is one target and never down, also where no image can be inspected,
    which is said."""
    image = bake(compose(lab, config_hash="", container_number=""))
    program, file = need("docker-compose"), tmp_path / "docker-compose.yml"

    def up(version: int) -> None:
        file.write_text(SERVICE.format(image=image, version=version))
        subprocess.run([program, "-p", lab.prefix, "-f", str(file), "up", "-d"],
                       check=True, capture_output=True, timeout=60)  # fmt: skip

    up(1)
    name = docker("ps", "--format", "{{.Names}}", "--filter", f"name={lab.prefix}")
    async with before_the_engine(tmp_path) as proxy:
        if not seen:
            proxy.fail(r"/images/")
        async with watching(lab, host=proxy.host) as (_, sink):
            first = await reached(sink, name, Reason.RUNNING)
            assert first.container is not None
            assert first.container.project == (lab.prefix if seen else None)
            assert ("its image cannot be inspected" in first.message) is not seen
            await asyncio.to_thread(up, 2)

            def renewed() -> bool:
                now = newest(sink, name).container
                return bool(now and first.container and now.id != first.container.id
                            and now.reason is Reason.RUNNING)  # fmt: skip

            await sink.until(renewed)
            await asyncio.sleep(1)  # whatever Compose still has to do shows by now
            assert Status.DOWN not in {r.status for r in sink.results[name]}
            assert (list(sink.targets), sink.gone) == ([name], [])


async def test_an_image_that_cannot_be_inspected_costs_no_other_container(
    lab: Lab, bake: Bake, tmp_path: Path
) -> None:
    """Where the engine fails about one image, the containers of others are what they are."""
    run(lab, "web", IMAGE, *given(compose(lab)))
    run(lab, "evil", bake(["tocsin.name=x"]))  # the newest, which is listed first
    image = docker("inspect", "-f", "{{.Image}}", lab.name("evil"))
    async with before_the_engine(tmp_path) as proxy:
        proxy.fail(f"/images/{image}/")
        async with watching(lab, host=proxy.host) as (_, sink):
            evil = await reached(sink, lab.name("evil"), Reason.RUNNING)
            assert "its image cannot be inspected" in evil.message
            web = (await reached(sink, lab.name("web"), Reason.RUNNING)).container
            assert web is not None
            assert web.project == lab.prefix


async def test_a_name_by_label_is_the_container_s_and_not_its_image_s(lab: Lab, bake: Bake) -> None:
    """Whether whoever runs the container asked for its name by tocsin.name, or its image, is told
    apart."""
    image = bake(["tocsin.name=shop"])
    names = [run(lab, "a", image), run(lab, "b", image, "--label", "tocsin.name=Web shop")]
    async with watching(lab) as (_, sink):
        for name in names:
            await reached(sink, name, Reason.RUNNING)
        claims = [sink.claims[name] for name in names]
        assert [(c.name, c.by_image) for c in claims] == [("shop", True), ("Web shop", False)]
        assert sink.claims[names[1]].identity == {"name": names[1], "image": image}

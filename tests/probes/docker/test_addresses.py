"""At which address a container's own checks ask, against a real Docker Engine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.probes.docker.lab import IMAGE, SLEEP, Lab, docker, watching
from tests.probes.docker.test_engine import ROOT
from tocsin.plugins.probes.docker_health import addresses
from tocsin.plugins.probes.docker_health.addresses import Place
from tocsin.plugins.probes.docker_health.labels import checks_of
from tocsin.testing import RecordingSink

pytestmark = pytest.mark.docker

LABELS = ("-l", "tocsin.http=:8000/health", "-l", "tocsin.tcp=5432")


def start(lab: Lab, short: str, *options: str) -> str:
    return docker("run", "-d", "--name", lab.name(short), *LABELS, *options, IMAGE, *SLEEP)


def address(lab: Lab, short: str, network: str = "bridge") -> str:
    form = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
    return docker("inspect", "-f", form, lab.name(short))


def at(host: str) -> dict[str, Any]:
    return {
        "http": {"probe": "http", "url": f"http://{host}:8000/health"},
        "tcp": {"probe": "tcp", "host": host, "port": 5432},
    }


def unable(why: str) -> dict[str, Any]:
    return {name: {"probe": name, "unable": why} for name in ("http", "tcp")}


async def seen(sink: RecordingSink, name: str, checks: dict[str, Any]) -> None:
    await sink.until(lambda: sink.checks.get(name) == checks)


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tocsin runs on the engine's host."""
    monkeypatch.setattr(addresses, "own_ids", list)


@pytest.mark.usefixtures("outside")
async def test_a_container_that_stops_has_no_address(lab: Lab) -> None:
    """Its checks never turn to another place, where something else may answer: they cannot run
    until it is there again."""
    start(lab, "web")
    async with watching(lab, reconcile=1.0) as (_, sink):
        await seen(sink, lab.name("web"), at(address(lab, "web")))
        docker("stop", "-t", "0", lab.name("web"))
        await seen(sink, lab.name("web"), unable(addresses.NOT_NOW))
        docker("start", lab.name("web"))
        await seen(sink, lab.name("web"), at(address(lab, "web")))


@pytest.mark.usefixtures("outside")
async def test_networks_that_are_not_a_container_s_own(lab: Lab) -> None:
    """On its host's network a container is asked by the loopback, in that of another container by
    the other's address; without a network it has none."""
    start(lab, "host", "--network=host")
    start(lab, "none", "--network=none")
    start(lab, "main")
    start(lab, "side", f"--network=container:{lab.name('main')}")
    async with watching(lab) as (_, sink):
        await seen(sink, lab.name("host"), at("127.0.0.1"))
        await seen(sink, lab.name("none"), unable(addresses.NOT_NOW))
        await seen(sink, lab.name("side"), at(address(lab, "main")))


@pytest.fixture
def networks(lab: Lab) -> Iterator[tuple[str, str]]:
    """Two networks of this test."""
    names = (lab.name("net-a"), lab.name("net-b"))
    for name in names:
        docker("network", "create", name)
    yield names
    lab.clean()
    docker("network", "rm", *names)


async def test_a_tocsin_in_a_container_asks_in_networks_it_shares(
    lab: Lab, networks: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several addresses the one in a network in common is asked; without one the checks cannot
    run, and say so, until there is one. The loopback of its own container is no host's."""
    ours, theirs = networks
    own = start(lab, "tocsin", f"--network={ours}")
    monkeypatch.setattr(addresses, "own_ids", lambda: [own[:12]])
    start(lab, "both", f"--network={theirs}")
    docker("network", "connect", ours, lab.name("both"))
    start(lab, "far", f"--network={theirs}")
    start(lab, "host", "--network=host")
    async with watching(lab, reconcile=1.0) as (_, sink):
        await seen(sink, lab.name("both"), at(address(lab, "both", ours)))
        await seen(sink, lab.name("host"), unable(addresses.OF_ITS_HOST))
        await seen(sink, lab.name("far"), unable(addresses.NOT_SHARED))
        docker("network", "connect", theirs, lab.name("tocsin"))
        await seen(sink, lab.name("far"), at(address(lab, "far", theirs)))


async def test_a_tocsin_on_its_host_s_network_is_as_on_the_host(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container that uses the host's network every address is in reach, the loopback too."""
    own = start(lab, "tocsin", "--network=host")
    monkeypatch.setattr(addresses, "own_ids", lambda: [own])
    start(lab, "web")
    start(lab, "host", "--network=host")
    async with watching(lab) as (_, sink):
        await seen(sink, lab.name("web"), at(address(lab, "web")))
        await seen(sink, lab.name("host"), at("127.0.0.1"))


@pytest.mark.parametrize("network", ["bridge", "host"])
def test_a_container_knows_itself(lab: Lab, tmp_path: Path, network: str) -> None:
    """What is mounted in a container tells its id; what is mounted here does not."""
    name = lab.name("self")
    docker("run", "-d", "--name", name, f"--network={network}", IMAGE, *SLEEP)
    mounts = tmp_path / "mountinfo"
    mounts.write_text(docker("exec", name, "cat", "/proc/self/mountinfo"))
    assert docker("inspect", "-f", "{{.Id}}", name) in addresses.own_ids(mounts)
    mounts.write_text(f"1 2 0:3 / /run/containers/{'a' * 64}/hostname rw - tmpfs none rw\n")
    assert "a" * 64 not in addresses.own_ids(mounts)


def test_whole_addresses_need_none_of_the_container() -> None:
    """A label that names its host is asked there, whatever address the container has."""
    labels = {"tocsin.http": "http://site.test/", "tocsin.tcp": "db.test:5432"}
    for place in (Place(None, "none"), Place("10.0.0.1")):
        checks = checks_of(labels, place)
        assert checks["http"]["url"] == "http://site.test/"
        assert (checks["tcp"]["host"], checks["tcp"]["port"]) == ("db.test", 5432)
    bracketed = checks_of({"tocsin.tcp": "[::1]:5432"}, Place(None, "none"))
    assert (bracketed["tcp"]["host"], bracketed["tcp"]["port"]) == ("::1", 5432)
    six = checks_of({"tocsin.http": ":80/", "tocsin.tcp": "80"}, Place("fd00::1"))
    assert (six["http"]["url"], six["tcp"]["host"]) == ("http://[fd00::1]:80/", "fd00::1")


INSIDE = """
import asyncio, json, sys
from tocsin.plugins.probes.docker_health.source import DockerSource, DockerWatch
from tocsin.testing import RecordingSink

async def look():
    sink = RecordingSink()
    watch = DockerWatch(DockerSource(include=(sys.argv[1],)))
    task = asyncio.create_task(watch.run("docker", 5.0, sink))
    await sink.until(lambda: sink.inventories)
    print(json.dumps(sink.checks))

asyncio.run(look())
"""


def test_the_source_in_a_real_container(lab: Lab, networks: tuple[str, str]) -> None:
    """The source itself, run in a container with this machine's Python: it finds out by itself in
    which container and networks it is."""
    ours, theirs = networks
    start(lab, "near", f"--network={ours}")
    start(lab, "far", f"--network={theirs}")
    # What Python needs of this machine, at the places where it is.
    needed = {"/lib", "/lib64", "/usr", sys.base_prefix, sys.prefix, str(ROOT)}
    mounts = [f"-v={path}:{path}:ro" for path in sorted(needed) if Path(path).is_dir()]
    told = docker(
        "run", "--rm", "--name", lab.name("tocsin"), f"--network={ours}", *mounts,
        "-v=/var/run/docker.sock:/var/run/docker.sock", f"-w={ROOT}", IMAGE,
        sys.executable, "-c", INSIDE, f"{lab.prefix}*",
    )  # fmt: skip
    checks = json.loads(told.splitlines()[-1])
    assert checks[lab.name("near")] == at(address(lab, "near", ours))
    assert checks[lab.name("far")] == unable(addresses.NOT_SHARED)

"""How much labels may ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from tests.core.test_inventory import DOCKER, Room, Trusting
from tocsin import Claim, Status, Target
from tocsin.core.config import ConfigError, load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.config.label_bounds import out_of_bounds
from tocsin.core.config.settings import Settings
from tocsin.core.plugin.manager import PluginManager
from tocsin.testing import SettableClock


@pytest.fixture
async def room(tmp_path: Path, clock: SettableClock) -> Any:
    made = Room(tmp_path, clock)
    yield made
    await made.scheduler.drain()
    made.inventory.checks.close()
    await made.isolation.stop()


def ask(room: Room, tables: dict[str, Any], name: str = "web", **options: Any) -> dict[str, str]:
    """What labels ask for; the checks that cannot run, and why."""
    docker = evolve(DOCKER, source=Trusting(**options))
    room.inventory.settings = evolve(room.settings, sources={"docker": docker})
    room.inventory.discovered("docker", Target(name=name, kind="container"), tables)
    checks = room.state.targets[name].checks.values()
    return {check.name: check.broken for check in checks if check.broken is not None}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"timeout": "5000000"}, "timeout asks for 57d 20h, more than 30s; label_timeout in"),
        ({"timeout": "31s"}, "timeout asks for 31s, more than 30s; label_timeout in"),
        ({"interval": "1s"}, "interval asks for 1s, less than 5s; label_interval in"),
        ({"interval": 0.1}, "interval asks for 100ms, less than 5s; label_interval in"),
        ({"interval": "2d"}, "interval asks for 2d, more than 1d"),
        ({"retries": 4}, "retries asks for 4, more than 3"),
        ({"retries": 9999999}, "retries asks for 1e+07, more than 3"),
    ],
)
async def test_a_value_out_of_bounds_is_refused_and_shown(
    room: Room, options: dict[str, Any], reason: str
) -> None:
    """The check is there, unknown, and says in a sentence which label asks for what, the bound, and
    what moves it; it never runs."""
    broken = ask(room, {"echo": {"probe": "echo", **options}, "good": {"probe": "echo"}})
    assert broken.keys() == {"echo"}
    assert broken["echo"].startswith(f"the label tocsin.check.echo.{reason}")
    assert room.status("web", "echo") is Status.UNKNOWN
    assert "web/echo" not in room.scheduler
    assert "web/good" in room.scheduler


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": "30s", "interval": "5s", "retries": 3},
        {"timeout": 1, "interval": "1d"},
    ],
)
async def test_values_on_the_bounds_are_taken(room: Room, options: dict[str, Any]) -> None:
    """The bounds themselves are allowed."""
    assert ask(room, {"echo": {"probe": "echo", **options}}) == {}


@pytest.mark.parametrize("value", [10**400, "soon", True, None, [1], "nan", "1e999"])
@pytest.mark.parametrize("option", ["timeout", "interval", "period", "retries"])
def test_what_is_no_number_is_left_to_others(option: str, value: Any) -> None:
    """A value of a wrong kind does no harm here; it is refused where options are read."""
    assert out_of_bounds("x", {option: value}, "docker") is None


async def test_the_configuration_moves_the_bounds(room: Room) -> None:
    """Options of the source allow more, or less."""
    table = {"echo": {"probe": "echo", "timeout": "2m", "interval": "1s"}}
    assert ask(room, table, label_timeout=120.0, label_interval=1.0) == {}
    table = {"echo": {"probe": "echo", "timeout": "6s"}}
    assert "more than 5s" in ask(room, table, "other", label_timeout=5.0)["echo"]


async def test_checks_beyond_the_number_are_one_that_says_so(room: Room) -> None:
    """1,100 checks of one container: the first 20 run, and one more, unknown, says how many do not
    and what allows more."""
    tables = {f"c{n}": {"probe": "echo"} for n in range(1100)}
    broken = ask(room, tables)
    assert broken == {
        "labels": "the labels ask for 1100 checks, and 1080 of them are left out: the limit is 20 "
        "for each container; label_checks in [sources.docker] changes this limit"
    }
    assert len(room.state.targets["web"].checks) == 22  # the source's own
    assert room.scheduler.stats().checks == 20


async def test_labels_that_cannot_be_understood_do_not_hide_the_bound(room: Room) -> None:
    """Of a container with too many checks and more bad labels than are told one by one, both are
    told."""
    tables = {f"c{n}": {"probe": "echo"} for n in range(25)}
    claim = Claim(refused=tuple(f"the label x{n} is bad" for n in range(10)))
    target = Target(name="web", kind="container")
    room.inventory.discovered("docker", target, tables, claim)
    told = room.state.targets["web"].checks["labels"].broken or ""
    assert told.startswith("the labels ask for 25 checks, and 5 of them are left out")
    assert "the label x0 is bad" in told
    assert told.endswith("; and 6 more")


async def test_the_checks_of_all_containers_are_bounded(room: Room) -> None:
    """Many containers that ask for a few each share the source's number; when some are gone, those
    that were left out are taken at the next inventory."""
    tables = {f"c{n}": {"probe": "echo"} for n in range(5)}
    for name in ("a", "b"):
        assert ask(room, tables, name, label_checks_in_all=12) == {}
    broken = ask(room, tables, "c", label_checks_in_all=12)
    assert "3 of them are left out: the limit is 12 in all; label_checks_in_all" in broken["labels"]
    assert room.scheduler.stats().checks == 12
    room.inventory.synced("docker", ["b", "c"])
    assert room.scheduler.stats().checks == 10
    assert "labels" not in room.state.targets["c"].checks


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("timeout = 5000000", "must be at most 1d"),
        ('timeout = "1d"', None),
        ("timeout = 0", "more than 0"),
    ],
)
def test_a_configured_timeout_is_bounded_too(
    tmp_path: Path, line: str, problem: str | None
) -> None:
    """A configured check may take a day; more is a mistake, and named."""
    plugins = PluginManager(PluginSettings())
    plugins.load()
    file = tmp_path / "tocsin.toml"
    file.write_text(f'[targets.t.checks.c]\nprobe = "tcp"\nhost = "h"\nport = 1\n{line}\n')
    env = {"TOCSIN_DATA_DIR": str(tmp_path)}
    if problem is None:
        settings: Settings = load_config(file, env, plugins)
        assert settings.targets["t"].checks["c"].timeout == 86400
        return
    with pytest.raises(ConfigError, match=problem):
        load_config(file, env, plugins)

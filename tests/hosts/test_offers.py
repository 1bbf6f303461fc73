"""What plugins offer is known without starting them."""

from __future__ import annotations

import os
from importlib.metadata import PathDistribution, distributions
from pathlib import Path
from typing import Any, cast

import pytest
from attrs import frozen

from tests.hosts.conftest import Core, only
from tests.hosts.installed import install
from tocsin import Bytes, Probe, Result, Seconds, Secret
from tocsin.core.checks.polled_check import PolledCheck
from tocsin.core.config.by_label import build_check
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.config.errors import Problems
from tocsin.core.config.structure import construct
from tocsin.core.hosts.offer_cache import OfferCache
from tocsin.core.hosts.offers import describe_type, restore_type
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.options import options_of

SOURCE = """
    from enum import StrEnum
    class Mode(StrEnum):
        FAST = "fast"
        SLOW = "slow"
    @frozen(kw_only=True)
    class Login:
        user: str
        password: Secret
    def positive(_, attribute, value):
        if value <= 0: raise ValueError("must be more than 0")
    @frozen(kw_only=True)
    class Rich(Probe):
        '''Look closely.

        Further words.
        '''
        by_label = True
        config_only = ("path",)
        timeout: Seconds = 3
        mode: Mode = Mode.FAST
        login: Login | None = None
        ports: tuple[int, ...] = (80,)
        limit: Bytes = 1024
        size: int = field(default=1, validator=positive)
        path: str = ""
        async def check(self, target):
            return Result.up(f"{self.mode.name} {type(self.login).__name__} {self.ports}")
    @hookimpl
    def tocsin_probes(): return {"rich": Rich}
"""


def manager(site: Path, cache: OfferCache, *, anew: bool) -> PluginManager:
    """Return a manager that has loaded the plugins of a folder."""
    made = PluginManager(PluginSettings(), only(site), cache=cache)
    made.load(anew=anew)
    return made


def test_a_known_plugin_is_listed_without_being_started(site: Path, tmp_path: Path) -> None:
    """Its options, defaults, class variables and summary are the same as when it was started; other
    files of the distribution mean that it is started again."""
    cache = OfferCache(tmp_path / "cache", "1")
    install(site, SOURCE)
    first = manager(site, cache, anew=False)
    assert first.hosts.nursery.pid is not None
    second = manager(site, cache, anew=False)
    assert second.hosts.nursery.pid is None
    cls, again = first.probes["rich"].cls, second.probes["rich"].cls
    assert options_of(again) == options_of(cls)
    assert (again.__doc__, again.by_label, again.config_only) == (cls.__doc__, True, ("path",))
    assert {o.name: o.type for o in options_of(again)}["mode"] == "'fast' | 'slow'"
    third = manager(site, cache, anew=True)
    assert third.hosts.nursery.pid is not None
    install(site, SOURCE.replace("by_label = True", "by_label = False"))
    changed = manager(site, cache, anew=False)
    assert changed.hosts.nursery.pid is not None
    assert changed.probes["rich"].cls.by_label is False
    for each in (first, second, third, changed):
        each.hosts.nursery.stop()


def test_what_may_change_without_notice_is_not_kept(site: Path, tmp_path: Path) -> None:
    """A distribution that is installed in editable form or has no RECORD, one of which a plugin
    failed, and an entry that another user or another version of tocsin wrote: all are read anew."""
    cache = OfferCache(tmp_path / "cache", "1")
    install(site, SOURCE)
    manager(site, cache, anew=False).hosts.nursery.stop()
    (found,) = distributions(path=[str(site)])
    plugins = {"strange": "tocsin_strange"}
    assert cache.get(found, plugins) is not None
    assert cache.get(found, {"other": "tocsin_strange"}) is None
    assert OfferCache(tmp_path / "cache", "2").get(found, plugins) is None
    (entry,) = (tmp_path / "cache").iterdir()
    written = entry.read_bytes()
    entry.write_bytes(written[:-9])
    assert cache.get(found, plugins) is None
    entry.write_bytes(written)
    if os.geteuid() == 0:
        os.chown(entry, 65534, 65534)
        assert cache.get(found, plugins) is None
        os.chown(entry, 0, 0)
    info = Path(str(found.locate_file(""))) / "tocsin_strange-1.0.dist-info"
    (info / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {"editable": true}}')
    assert cache.get(PathDistribution(info), plugins) is None
    (info / "direct_url.json").write_text('{"url": "https://x/y.whl", "archive_info": {}}')
    assert cache.get(PathDistribution(info), plugins) is not None
    (info / "RECORD").unlink()
    assert cache.get(PathDistribution(info), plugins) is None
    install(site, "import nowhere")
    manager(site, cache, anew=False).hosts.nursery.stop()
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(site: Path, tmp_path: Path) -> None:
    """The plugin is started each time, and works."""
    (tmp_path / "file").write_text("")
    install(site, SOURCE)
    for cache in (OfferCache(tmp_path / "file" / "cache", "1"), OfferCache(None, "1")):
        made = manager(site, cache, anew=False)
        assert "rich" in made.probes
        made.hosts.nursery.stop()


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, Path("/x/tocsin/offers")),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, Path("/h/.cache/tocsin/offers")),
        ({"HOME": "/h"}, Path("/h/.cache/tocsin/offers")),
        ({}, None),
    ],
)
def test_the_cache_is_the_users_own(env: dict[str, str], expected: Path | None) -> None:
    """Its place follows the XDG Base Directory Specification."""
    assert OfferCache.of_user(env, "1").directory == expected


@pytest.mark.parametrize(
    ("table", "path", "message"),
    [
        ({"sise": 3}, "web.rich.sise", "there is no such option; did you mean 'size'?"),
        ({"size": "x"}, "web.rich.size", "expected a whole number, got 'x'"),
        ({"size": 0}, "web.rich.size", "must be more than 0"),
        ({"mode": "quick"}, "web.rich.mode", "expected one of 'fast', 'slow', got 'quick'"),
        ({"login": {"user": "ann"}}, "web.rich.login.password", "must be given"),
        ({"timeout": 0}, "web.rich.timeout", None),
    ],
)
def test_options_are_refused_as_those_of_plugins_in_the_core_are(
    core: Core, table: dict[str, Any], path: str, message: str | None
) -> None:
    """Path, sentence and remedy are the same, also of what only the plugin's own code refuses."""
    core.load(SOURCE)
    inline = PluginManager(PluginSettings(inline=("strange",)), only(core.site))
    inline.load()
    found = []
    for made in (core.manager, inline):
        problems = Problems("tocsin.toml")
        construct(made.probes["rich"].cls, table, ("web", "rich"), problems)
        found.append([(p.path, p.message) for p in problems.found])
    assert found[0] == found[1]
    if message is not None:
        assert found[0] == [(path, message)]
    core.manager.hosts.nursery.stop()


async def test_options_reach_the_plugin_as_its_own_types(core: Core) -> None:
    """Enumerations, nested tables and tuples are the plugin's own objects."""
    core.load(SOURCE)
    probe = core.make(
        "probe", "rich", mode="slow", login={"user": "ann", "password": "pw"}, ports=[1, 2],
        limit="2KiB",
    )  # fmt: skip
    assert (probe.timeout, probe.limit, probe.ports) == (3.0, 2048, (1, 2))
    assert "pw" not in repr(probe)
    opened = await probe.open(core.context())
    from tocsin import Target

    assert (await opened.check(Target(name="web"))).message == "SLOW Login (1, 2)"


async def test_labels_wait_for_no_plugin(core: Core) -> None:
    """What a label asks for while the core runs is not checked by the plugin at once; what it
    refuses makes the check unknown, with the reason."""
    core.load(SOURCE)
    check = build_check(
        "web", "rich", {"probe": "rich", "size": 0}, core.manager, interval=30, source="docker"
    )
    assert check.probe is not None
    polled = PolledCheck(cast("Probe", check.probe), core.context())
    assert await polled.open() == Result.unknown(
        "its options are refused: size: must be more than 0"
    )


@frozen
class _Inner:
    name: str = "x"


@pytest.mark.parametrize(
    "kind",
    [
        str, int, float, bool, Secret, Seconds, Bytes, list[int], list[str | int], tuple[int, str],
        tuple[str, ...], dict[str, float], set[int], frozenset[str], Seconds | None, Path,
        dict[str, list[Secret]],
    ],
)  # fmt: skip
def test_types_of_options_are_described(kind: Any) -> None:
    """Each comes back as it was."""
    assert restore_type(describe_type(kind)) == kind


def test_types_that_only_the_plugin_knows_may_be_anything() -> None:
    """They are left to the host."""
    assert restore_type(describe_type(complex)) is Any
    inner = restore_type(describe_type(_Inner))
    assert inner(name="y").name == "y"

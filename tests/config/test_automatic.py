"""Checks that are there by themselves."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from attrs import frozen

from tests.config.conftest import Entry, Load, RichProbe, Shelves
from tocsin.core.config import Settings, load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.plugin.manager import PluginManager
from tocsin.plugins.probes.disk import DiskProbe


def automatic(settings: Settings) -> dict[str, Any]:
    """Check ids and probes of the targets that nobody asked for."""
    return {
        f"{target.name}/{check.name}": check.probe
        for target in settings.targets.values()
        if target.automatic
        for check in target.checks.values()
    }


@pytest.fixture(autouse=True)
def disk(catalog: Shelves) -> None:
    catalog.probes["disk"] = Entry(DiskProbe, "disk")


def test_the_hosts_disk_is_watched_by_itself(load: Load) -> None:
    """The target "host" looks at "/" at the global interval, and leaves it to the rule
    disk_space_low to say that it is full."""
    settings = load('interval = "7s"\n[targets.a]\n')
    assert automatic(settings) == {"host/disk": DiskProbe(paths=("/",), min_free_percent=0)}
    assert settings.targets["host"].checks["disk"].interval == 7
    assert settings.declared() == (1, 0)
    assert settings.automatic() == ["host/disk"]


@pytest.mark.parametrize(
    "text",
    [
        "[targets.host]\nenabled = false\n",
        '[targets.host]\nlabels = { rack = "7" }\n',
        '[targets.a.checks.room]\nprobe = "disk"\npaths = ["/srv"]\n',
        '[targets.a.checks.room]\nprobe = "disk"\nenabled = false\n',
        '[targets.a]\nenabled = false\n[targets.a.checks.room]\nprobe = "disk"\n',
    ],
)
def test_the_file_has_the_last_word(load: Load, text: str) -> None:
    """Where it names the target, or the probe in any check, even one switched off, nothing is
    added."""
    assert automatic(load(text)) == {}


def test_without_the_plugin_it_is_not_there() -> None:
    """Of all our plugins the disk's alone starts something by itself; disabled, it does not."""
    for disabled, expected in (((), ["host/disk"]), (("disk",), [])):
        manager = PluginManager(PluginSettings(disabled=disabled))
        manager.load()
        assert load_config(None, {}, manager).automatic() == expected


@frozen(kw_only=True)
class Wrong(RichProbe):
    autostart: ClassVar[Any] = {
        "host/fine": {"whole": 7}, "host/wrong": {"whole": "x"}, "nameless": {},
        "host/table": 5, "/empty": {},
    }  # fmt: skip


@frozen(kw_only=True)
class Worse(RichProbe):
    autostart: ClassVar[Any] = 5


def test_a_plugins_mistake_is_a_warning(load: Load, catalog: Shelves) -> None:
    """What is wrong with a stranger's is told and does not keep tocsin from starting; what is
    right stands beside the check of another plugin on the same target."""
    catalog.probes |= {"wrong": Entry(Wrong, "strange"), "worse": Entry(Worse, "stranger")}
    settings = load("")
    assert set(automatic(settings)) == {"host/disk", "host/fine"}
    told = [text for text in settings.warnings if "strange" in text]
    assert told == [
        "plugin strange: host.wrong.whole: expected a whole number, got 'x'; the check is left out",
        'plugin strange: nameless."": a name has 1 to 64 characters; the check is left out',
        "plugin strange: host.table: expected a table with a probe, got 5; the check is left out",
        "plugin strange: a name has 1 to 100 characters; the check is left out",
        "plugin stranger: autostart of 'worse' is not a table of checks",
    ]

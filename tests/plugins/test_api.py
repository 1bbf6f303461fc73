"""The version of the plugin API, and what of it will end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from attrs import frozen

from tocsin import Probe, Result, Target, hookimpl
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.http.admin import plugin_view
from tocsin.core.plugin.api import Deprecation, remark_on
from tocsin.core.plugin.catalog import PluginRecord
from tocsin.core.plugin.manager import PluginManager


@frozen(kw_only=True)
class Silent(Probe):
    """Say nothing."""

    async def check(self, target: Target) -> Result:
        return Result.up()


class Plugin:
    """A plugin that may say which API it was written for."""

    def __init__(self, **said: Any) -> None:
        vars(self).update(said)

    @hookimpl
    def tocsin_probes(self) -> dict[str, type[Probe]]:
        return {"silent": Silent}


def loaded(plugin: object) -> PluginRecord:
    manager = PluginManager(PluginSettings(), discover=tuple)
    manager.add("p", lambda: plugin, "tests", "0")
    (record,) = manager.records
    return record


@pytest.mark.parametrize("said", [{}, {"tocsin_api": "1"}, {"tocsin_api": 1}])
def test_a_plugin_for_this_api_is_loaded(said: dict[str, Any]) -> None:
    """One that does not say which, too; what it was written for is shown."""
    record = loaded(Plugin(**said))
    assert (record.status, record.api, plugin_view(record).api) == ("ok", 1, 1)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("2", "was written for version 2 of the plugin API, and this tocsin offers 1; upgrade toc"),
        ("0", "was written for version 0 of the plugin API, which ended"),
        ("9" * 5000, "was written for version 999999999 of"),
        ("1.0", "has tocsin_api = '1.0'; write tocsin_api = \"1\""),
        ("", "write tocsin_api"),
        ("\u0662", "write tocsin_api"),
        (None, "has tocsin_api = None; write"),
        (1.5, "has tocsin_api = 1.5; write"),
        (-1, "has tocsin_api = -1; write"),
    ],
)
def test_a_plugin_for_another_api_is_refused(said: object, words: str) -> None:
    """With one sentence that names both versions and the remedy; nothing of it is used."""
    record = loaded(Plugin(tocsin_api=said))
    assert record.status == "failed"
    assert words in (record.reason or "")
    assert not record.provides


def test_an_attribute_that_raises_is_the_plugins_fault() -> None:
    """It is named, and nothing else stops."""

    class Odd(Plugin):
        @property
        def tocsin_api(self) -> str:
            raise ZeroDivisionError("odd")

    record = loaded(Odd())
    assert record.status == "failed"
    assert "ZeroDivisionError while its tocsin_api was read: odd" in (record.reason or "")


def test_what_will_end_is_named_with_its_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that implements a deprecated hook works, and is named with what to do."""
    old = [
        Deprecation(hook="tocsin_probes", since="0.3", until="0.5", instead="implement tocsin_x")
    ]
    monkeypatch.setattr("tocsin.core.plugin.manager.remark_on", lambda hook: remark_on(hook, old))
    record = loaded(Plugin())
    assert record.status == "ok"
    assert record.remarks == ("uses tocsin_probes, which ends with tocsin 0.5; implement tocsin_x",)
    assert plugin_view(record).remarks == record.remarks
    assert not loaded(SimpleNamespace()).remarks


def test_a_name_of_an_earlier_api_says_what_to_use() -> None:
    """The error of an import names the successor."""
    with pytest.raises(ImportError, match=r"tocsin\.private has ended: keep .* open\(context\)"):
        from tocsin import private  # type: ignore[attr-defined] # noqa: F401

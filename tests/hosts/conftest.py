"""A place for installed distributions, and a core that uses their plugins."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from tests.hosts.installed import install
from tocsin.core.clock import SystemClock
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.config.errors import Problems
from tocsin.core.config.structure import build, construct
from tocsin.core.hosts.host import Host
from tocsin.core.plugin.catalog import PluginRecord
from tocsin.core.plugin.contexts import Contexts, RuntimeContext
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation, PluginFault


@define
class Core:
    """As much of a core as plugins in hosts need.

    Attributes:
        site: folder of the installed distributions.
        data_dir: the data directory.
        env: the environment.
        settings: which plugins are loaded, and their limits.
        blamed: plugins and faults that were reported.
    """

    site: Path
    data_dir: Path
    env: dict[str, str] = field(factory=dict)
    settings: PluginSettings = field(factory=PluginSettings)
    blamed: list[tuple[str, str]] = field(factory=list)
    forgiven: list[str] = field(factory=list)
    started: Callable[[], object] = lambda: None
    manager: PluginManager = field(init=False)
    isolation: Isolation = field(init=False)

    def load(self, source: str, *names: str, **settings: Any) -> None:
        """Install a distribution with a source, and load its plugins."""
        install(self.site, source, *names)
        problems = Problems("tocsin.toml")
        made = build(PluginSettings, settings, ("plugins",), problems)
        assert not problems.found, problems.found
        self.manager = PluginManager(made, only(self.site))
        self.manager.load()
        self.isolation = Isolation(
            self.manager.inline,
            lambda plugin, fault: self.blamed.append((plugin, str(fault))),
            Contexts(self.data_dir, SystemClock(), self.env),
            self.manager.hosts,
            self.forgiven.append,
        )
        self.started()

    def record(self, name: str = "strange") -> PluginRecord:
        """Return the record of a plugin."""
        return next(record for record in self.manager.records if record.name == name)

    @property
    def is_loaded(self) -> bool:
        """Return whether there is anything to stop."""
        return hasattr(self, "isolation")

    @property
    def host(self) -> Host:
        """Return the host of the distribution."""
        (host,) = self.manager.hosts
        return host

    def make(self, kind: str, name: str, **options: Any) -> Any:
        """Return an object of options, as the configuration makes it."""
        problems = Problems("tocsin.toml")
        shelf = getattr(self.manager, f"{kind}s")
        made, broken = construct(shelf[name].cls, options, (kind, name), problems)
        if broken is not None:
            raise PluginFault(broken)
        assert not problems.found, problems.found
        return made

    def context(self, name: str = "web/http", plugin: str = "strange") -> RuntimeContext:
        """Return the context of a runtime."""
        return self.isolation.contexts.of(plugin, name)


def only(site: Path) -> Callable[[], list[EntryPoint]]:
    """Return a function that finds the plugins of one folder alone."""

    def discover() -> list[EntryPoint]:
        return [
            entry
            for distribution in distributions(path=[str(site)])
            for entry in distribution.entry_points.select(group="tocsin")
        ]

    return discover


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of distributions that this process and hosts find."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    yield folder
    for name in [name for name in sys.modules if name.startswith("tocsin_strange")]:
        del sys.modules[name]


@pytest.fixture
async def core(site: Path, tmp_path: Path) -> AsyncIterator[Core]:
    made = Core(site, tmp_path / "data")
    made.data_dir.mkdir()
    yield made
    if made.is_loaded:
        await made.isolation.stop()

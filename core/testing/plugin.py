"""pytest fixtures for plugin authors; pytest finds them through its own entry-point group."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.contracts.service import ServiceContext
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.testing.clock import SettableClock
from tocsin.core.testing.context import RecordingContext
from tocsin.core.testing.notifier import RecordingNotifier
from tocsin.core.testing.service import service_context
from tocsin.core.testing.sink import RecordingSink


@pytest.fixture
def tocsin_clock() -> SettableClock:
    """Return a clock that moves only when a test advances it."""
    return SettableClock()


@pytest.fixture
def tocsin_sink() -> RecordingSink:
    """Return a sink that records what a source sends."""
    return RecordingSink()


@pytest.fixture
def tocsin_notifier() -> RecordingNotifier:
    """Return a notifier that records messages in place of delivering them."""
    return RecordingNotifier()


@pytest.fixture
def tocsin_context() -> RecordingContext:
    """Return a context for ``open``, which records what a runtime does with it."""
    return RecordingContext()


@pytest.fixture
def tocsin_service_context(tmp_path: Path, tocsin_context: RecordingContext) -> ServiceContext:
    """Return what a service is given: all that ``tocsin_context`` has, and an API that does not
    answer."""
    directory = tmp_path / "service"
    directory.mkdir(mode=0o700)
    return service_context(directory, tocsin_context)


@pytest.fixture
def tocsin_manager() -> Callable[..., PluginManager]:
    """Return a function that makes a plugin manager with the given modules and nothing else."""

    def make(**plugins: object) -> PluginManager:
        manager = PluginManager(PluginSettings(), discover=tuple)
        for name, plugin in plugins.items():
            manager.add(name, lambda plugin=plugin: plugin, "tests", "0")  # type: ignore[misc]
        manager.remark_on_panels()
        return manager

    return make

"""pytest fixtures for plugin authors; found by pytest through its own entry-point group."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tocsin.core.config.settings import PluginSettings
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.testing.clock import SettableClock
from tocsin.core.testing.notifier import RecordingNotifier
from tocsin.core.testing.sink import RecordingSink


@pytest.fixture
def tocsin_clock() -> SettableClock:
    """A clock that moves only when told to."""
    return SettableClock()


@pytest.fixture
def tocsin_sink() -> RecordingSink:
    """A sink that remembers what a source tells it."""
    return RecordingSink()


@pytest.fixture
def tocsin_notifier() -> RecordingNotifier:
    """A notifier that remembers what it was to deliver."""
    return RecordingNotifier()


@pytest.fixture
def tocsin_manager() -> Callable[..., PluginManager]:
    """A function that makes a plugin manager of the given modules, nothing discovered."""

    def make(**plugins: object) -> PluginManager:
        manager = PluginManager(PluginSettings(), discover=tuple)
        for name, plugin in plugins.items():
            manager.add(name, lambda plugin=plugin: plugin, "tests", "0")  # type: ignore[misc]
        return manager

    return make

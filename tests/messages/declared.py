"""The templates that our plugins declare, and renderers that have them, as a configuration does."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from tocsin.core.config import Settings, load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.logs import clean
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.templates.checks import check_directory
from tocsin.core.templates.renderer import Renderer


@cache
def plain_settings() -> Settings:
    """What holds without configuration."""
    manager = PluginManager(PluginSettings(external=False))
    manager.load()
    return load_config(None, {}, manager)


def renderer(directory: Path | None = None, trouble: Callable[[str], object] = print) -> Renderer:
    """Renders as a running tocsin does."""
    return Renderer(directory, clean, trouble, plain_settings().messages.declared)


def check(directory: Path) -> None:
    """Check a directory as the configuration does. Raises TemplateProblem."""
    check_directory(directory, plain_settings().messages.declared)

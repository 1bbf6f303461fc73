"""Where the configuration lies, reading it, and what must be known of it before plugins load."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from attrs import evolve, fields

from tocsin.core.config.environment import Environment
from tocsin.core.config.errors import ConfigError, ConfigProblem, Problems
from tocsin.core.config.settings import PluginSettings
from tocsin.core.config.structure import build
from tocsin.core.config.toml import parse

USUAL = ("tocsin.toml", "/etc/tocsin/tocsin.toml")


def find_config(explicit: FilePath | None, env: Mapping[str, str]) -> FilePath | None:
    """The file to use: the named one, ``$TOCSIN_CONFIG``, ./tocsin.toml, /etc/tocsin/tocsin.toml.

    Raises:
        ConfigError: a file was named and is not there.
    """
    named = explicit or (FilePath(env["TOCSIN_CONFIG"]) if env.get("TOCSIN_CONFIG") else None)
    if named is not None:
        if not os.path.isfile(named):  # noqa: PTH113 - Path.is_file raises where it may not look
            origin = "--config" if explicit else "TOCSIN_CONFIG"
            message = f"{origin} names no file that can be read; create it or correct the path"
            raise ConfigError((ConfigProblem(file=str(named), message=message),))
        return named
    return next((FilePath(path) for path in USUAL if os.path.isfile(path)), None)  # noqa: PTH113


def read(path: FilePath | None, problems: Problems) -> dict[str, Any]:
    """The file's tables; what is wrong with it is noted, never raised."""
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        problems.at_line(None, f"the file cannot be read ({error.strerror})")
        return {}
    except UnicodeDecodeError:
        problems.at_line(None, "the file is not UTF-8 text; save it as UTF-8")
        return {}
    return parse(text.replace("\r\n", "\n"), problems)


def read_plugin_settings(
    path: FilePath | None, env: Mapping[str, str], *, external: bool = True
) -> PluginSettings:
    """Which plugins may load. Errors are left to :func:`load_config`, which tells them all.

    Loading runs code, so where ``[plugins]`` cannot be read in full, what can be read of it holds
    and strangers' plugins stay off.
    """
    problems = Problems(str(path))
    table = read(path, problems).get("plugins", {})
    table = Environment(env, problems).fill(table, ("plugins",))
    settings = build(PluginSettings, table, ("plugins",), problems)
    if settings is None:
        settings = PluginSettings()
        for field in fields(PluginSettings):
            if isinstance(table, dict) and field.name in table:
                part = build(PluginSettings, {field.name: table[field.name]}, (), problems)
                if part is not None:
                    settings = evolve(settings, **{field.name: getattr(part, field.name)})
    readable = settings if not problems.touches("plugins") else evolve(settings, external=False)
    return with_variables(readable, env, external)


def with_variables(
    settings: PluginSettings, env: Mapping[str, str], external: bool = True
) -> PluginSettings:
    """Add ``TOCSIN_PLUGINS_DISABLED``, names separated by commas, and ``--no-external``."""
    more = [name.strip() for name in env.get("TOCSIN_PLUGINS_DISABLED", "").split(",")]
    return evolve(
        settings,
        disabled=(*settings.disabled, *(name for name in more if name)),
        external=settings.external and external,
    )

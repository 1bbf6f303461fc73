"""Where the configuration lies, reading it, and what must be known of it before plugins load."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from pathlib import PosixPath
from typing import Any

from attrs import evolve, fields, frozen

from tocsin.core.config.channels import any_port
from tocsin.core.config.environment import Environment
from tocsin.core.config.errors import ConfigError, ConfigProblem, Problems
from tocsin.core.config.settings import PluginSettings
from tocsin.core.config.structure import build
from tocsin.core.config.toml import parse
from tocsin.core.config.values import data_directory
from tocsin.core.runtime.owned import SHARED, open_directory, open_file, why_not_ours

HERE = "tocsin.toml"
SYSTEM = "/etc/tocsin/tocsin.toml"


class FoundFile(PosixPath):
    """A file in the working directory that nobody named: whoever wrote it, it is read only where
    that can have been nobody but the caller or root."""


def find_config(
    explicit: FilePath | None, env: Mapping[str, str], *, here: bool = True
) -> FilePath | None:
    """The file to use: the named one, ``$TOCSIN_CONFIG``, ./tocsin.toml, /etc/tocsin/tocsin.toml;
    without ``here`` none that only lies in the working directory.

    Raises:
        ConfigError: a file was named and is not there, or the one in the working directory may be
            somebody else's.
    """
    named = explicit or (FilePath(env["TOCSIN_CONFIG"]) if env.get("TOCSIN_CONFIG") else None)
    if named is not None:
        if not os.path.isfile(named):  # noqa: PTH113 - Path.is_file raises where it may not look
            origin = "--config" if explicit else "TOCSIN_CONFIG"
            message = f"{origin} names no file that can be read; create it or correct the path"
            raise ConfigError((ConfigProblem(file=str(named), message=message),))
        return named
    if here and os.path.isfile(HERE):  # noqa: PTH113
        found = FoundFile(HERE)
        _content(found)
        return found
    return FilePath(SYSTEM) if os.path.isfile(SYSTEM) else None  # noqa: PTH113


def read_data_dir(path: FilePath | None, env: Mapping[str, str]) -> FilePath:
    """The data directory, by the environment and a file of which only that is read: a mistake or an
    unset variable elsewhere in it must not keep anybody from asking a running tocsin.

    Raises:
        ConfigError: just that is wrong, or cannot be read.
    """
    problems = Problems(str(path or "environment"))
    table = read(path, problems)
    if table and not problems.touches("data_dir"):
        problems.found.clear()
    environment = Environment(env, problems)
    said = environment.fill({key: table[key] for key in ("data_dir",) if key in table})
    named = build(_DataDir, said, (), problems) or _DataDir()
    made = data_directory(named.data_dir, environment, problems, path)
    if problems.found:
        raise ConfigError(problems.sorted(environment.secrets))
    return made


def read_address(path: FilePath | None, env: Mapping[str, str]) -> tuple[str | None, int | None]:
    """Host and port of the API as far as they are said, by the environment and by a file of which
    only that is read. Raises ConfigError like :func:`read_data_dir`."""
    problems = Problems(str(path or "environment"))
    api = read(path, problems).get("api")
    if not problems.touches("api"):
        problems.found.clear()
    environment = Environment(env, problems)
    host = environment.get("TOCSIN_API_HOST")
    port = environment.read("TOCSIN_API_PORT", any_port, None)
    missing = {"host": host is None, "port": port is None}
    api = api if isinstance(api, dict) else {}
    said = {key: api[key] for key in missing if key in api and missing[key]}
    named = build(_Address, environment.fill(said, ("api",)), ("api",), problems) or _Address()
    if problems.found:
        raise ConfigError(problems.sorted(environment.secrets))
    return host or named.host, named.port if port is None else port


@frozen(kw_only=True)
class _DataDir:
    data_dir: FilePath | None = None


@frozen(kw_only=True)
class _Address:
    host: str | None = None
    port: int | None = None


def _content(path: FilePath) -> bytes:
    """What is in the file. Raises OSError, or ConfigError for a found one of somebody else."""
    if not isinstance(path, FoundFile):
        return path.read_bytes()
    owners = (os.geteuid(), 0)
    directory = open_directory(".")
    try:
        around = os.fstat(directory)
        # In a directory such as /tmp nobody can replace another's file, but anybody make a link.
        sticky = bool(around.st_mode & 0o1000) and around.st_uid in owners
        if not sticky and (reason := why_not_ours(around, owners)):
            raise _refused(path, f"its directory {reason}")
        shared = bool(around.st_mode & SHARED)
        try:
            descriptor = open_file(path.name, directory, follow=not shared)
        except OSError as error:
            link = shared and error.errno == errno.ELOOP
            reason = "it is a symbolic link" if link else f"it cannot be read ({error.strerror})"
            raise _refused(path, reason) from None
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if reason := why_not_ours(status, owners):
                raise _refused(path, f"it {reason}")
            if shared and status.st_nlink > 1:
                raise _refused(path, "it is a link to a file that lies elsewhere, too")
            return file.read()
    finally:
        os.close(directory)


def _refused(path: FilePath, reason: str) -> ConfigError:
    reason = reason.replace("(chmod go-w)", f"(chmod go-w . {path})")
    message = (
        f"nobody named this file, and {reason}, so it is not read; "
        f"if you trust it, name it: tocsin --config ./{path} …"
    )
    return ConfigError((ConfigProblem(file=f"./{path}", message=message),))


def read(path: FilePath | None, problems: Problems) -> dict[str, Any]:
    """The file's tables; what is wrong with it is noted. Raises ConfigError for one that nobody
    named and that may be somebody else's."""
    if path is None:
        return {}
    try:
        text = _content(path).decode("utf-8-sig")
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

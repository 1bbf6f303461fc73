"""Finds and reads the configuration file, and what is needed from it before plugins are loaded."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from pathlib import PosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve, fields, frozen

from tocsin.core.config.environment import Environment
from tocsin.core.config.errors import ConfigError, ConfigProblem, Path, Problems
from tocsin.core.config.scalars import any_port, show
from tocsin.core.config.toml import parse
from tocsin.core.runtime.owned import SHARED, open_directory, open_file, why_not_ours

if TYPE_CHECKING:
    from tocsin.core.config.core_settings import PluginSettings

T = TypeVar("T")

HERE = "tocsin.toml"
SYSTEM = "/etc/tocsin/tocsin.toml"


class FoundFile(PosixPath):
    """A file in the working directory that was not named explicitly.

    It is read only if no one but the caller or root can have written it.
    """


def find_config(
    explicit: FilePath | None, env: Mapping[str, str], *, here: bool = True
) -> FilePath | None:
    """Return the configuration file to use, or None.

    In this order: the named one, ``$TOCSIN_CONFIG``, ./tocsin.toml, /etc/tocsin/tocsin.toml.

    Args:
        explicit: the file named on the command line.
        env: the environment.
        here: whether a file in the working directory counts that was not named.

    Raises:
        ConfigError: a named file does not exist, or the one in the working directory may have been
            written by another user.
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
    """Return the data directory, from the environment or the file.

    Only this key of the file is read: a mistake or an unset variable elsewhere must not keep
    commands from reaching a running tocsin.

    Raises:
        ConfigError: this key is wrong, or the file cannot be read.
    """
    problems = Problems(str(path or "environment"))
    table = read(path, problems)
    if table and not problems.touches("data_dir"):
        problems.found.clear()
    environment = Environment(env, problems)
    said = environment.fill({key: table[key] for key in ("data_dir",) if key in table})
    named = _built(_DataDir, said, (), problems) or _DataDir()
    made = data_directory(named.data_dir, environment, problems, path)
    if problems.found:
        raise ConfigError(problems.sorted(environment.secrets))
    return made


def data_directory(
    said: FilePath | None, env: Environment, problems: Problems, file: FilePath | None
) -> FilePath:
    """Return ``TOCSIN_DATA_DIR``, the file's ``data_dir``, or the default directory.

    The default follows the XDG Base Directory specification; for root it is /var/lib/tocsin.

    Args:
        said: the file's ``data_dir``.
        env: the environment.
        problems: collects what is wrong.
        file: the configuration file; a relative path is relative to its directory.
    """
    if said is not None and said == FilePath():
        problems.add(("data_dir",), "names no directory; give a path or leave it out")
    chosen = env.read("TOCSIN_DATA_DIR", _directory, beside(file, said))
    if chosen is not None:
        return chosen.absolute()
    data = env.read("XDG_DATA_HOME", _directory, None)
    if data is not None and data.is_absolute():  # the specification says to ignore relative paths
        return data / "tocsin"
    home = env.get("HOME")
    if os.geteuid() == 0 or home is None:
        return FilePath("/var/lib/tocsin")
    return FilePath(home) / ".local/share/tocsin"


def beside(file: FilePath | None, path: FilePath | None) -> FilePath | None:
    """Resolve a path in a configuration file relative to that file, not the working directory."""
    return path if path is None or file is None else file.absolute().parent / path


def _directory(text: str) -> FilePath:
    try:
        return FilePath(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{show(text)}: {error}; write the path in full") from None


def read_address(path: FilePath | None, env: Mapping[str, str]) -> tuple[str | None, int | None]:
    """Return host and port of the API as far as the environment or the file sets them.

    Only these keys of the file are read.

    Raises:
        ConfigError: these keys are wrong, or the file cannot be read.
    """
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
    table = environment.fill(said, ("api",))
    named = _built(_Address, table, ("api",), problems) or _Address()
    if problems.found:
        raise ConfigError(problems.sorted(environment.secrets))
    return host or named.host, named.port if port is None else port


def _built(kind: type[T], table: Mapping[str, Any], path: Path, problems: Problems) -> T | None:
    """Return a table as an attrs class; None if it is empty or wrong."""
    if not table:
        return None
    from tocsin.core.config.structure import build  # imported late: most commands do without

    made: T | None = build(kind, table, path, problems)
    return made


@frozen(kw_only=True)
class _DataDir:
    data_dir: FilePath | None = None


@frozen(kw_only=True)
class _Address:
    host: str | None = None
    port: int | None = None


def _content(path: FilePath) -> bytes:
    """Return the content of the file.

    Raises:
        OSError: the file cannot be read.
        ConfigError: a file that was not named may have been written by another user.
    """
    if not isinstance(path, FoundFile):
        return path.read_bytes()
    owners = (os.geteuid(), 0)
    directory = open_directory(".")
    try:
        around = os.fstat(directory)
        # In a sticky directory such as /tmp no one can replace another's file, but anyone can add a
        # link.
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
                raise _refused(path, "it is a hard link to a file that is also elsewhere")
            return file.read()
    finally:
        os.close(directory)


def _refused(path: FilePath, reason: str) -> ConfigError:
    reason = reason.replace("(chmod go-w)", f"(chmod go-w . {path})")
    message = (
        f"this file was not named explicitly, and {reason}, so it is not read; "
        f"if you trust it, name it: tocsin --config ./{path} …"
    )
    return ConfigError((ConfigProblem(file=f"./{path}", message=message),))


def read(path: FilePath | None, problems: Problems) -> dict[str, Any]:
    """Return the file's tables; errors are reported in ``problems``.

    Raises:
        ConfigError: a file that was not named may have been written by another user.
    """
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
    """Return which plugins may be loaded.

    Errors are left to :func:`load_config`, which reports all of them. Loading a plugin runs its
    code. If ``[plugins]`` cannot be read in full, what can be read of it applies, and third-party
    plugins stay off.
    """
    from tocsin.core.config.core_settings import PluginSettings
    from tocsin.core.config.structure import build

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
    """Add ``TOCSIN_PLUGINS_DISABLED`` (names separated by commas) and ``--no-external``."""
    more = [name.strip() for name in env.get("TOCSIN_PLUGINS_DISABLED", "").split(",")]
    return evolve(
        settings,
        disabled=(*settings.disabled, *(name for name in more if name)),
        external=settings.external and external,
    )

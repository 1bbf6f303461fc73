"""Values that need more than a type check: time zone, data directory, database URL."""

from __future__ import annotations

import os
import zoneinfo
from pathlib import Path

from tocsin.core.config.checks import MIN_INTERVAL
from tocsin.core.config.environment import Environment
from tocsin.core.config.errors import Problems
from tocsin.core.config.scalars import show
from tocsin.core.contracts.base import Secret
from tocsin.core.dsn import check_dsn
from tocsin.core.units import parse_duration, time_zone


def check_timezone(name: str, problems: Problems) -> None:
    """Report a time zone that is not in the machine's IANA database."""
    if name == "UTC":  # known without a database
        return
    try:
        time_zone(name)
    except ValueError:
        message = f"no time zone is called {show(name)}; write one such as 'Europe/Berlin'"
        if not zoneinfo.available_timezones():
            message = "this machine has no time zone database; install tzdata, or write 'UTC'"
        problems.add(("timezone",), message)


def data_directory(
    said: Path | None, env: Environment, problems: Problems, file: Path | None
) -> Path:
    """Return ``TOCSIN_DATA_DIR``, the file's ``data_dir``, or the default directory.

    The default follows the XDG Base Directory specification; for root it is /var/lib/tocsin.

    Args:
        said: the file's ``data_dir``.
        env: the environment.
        problems: collects what is wrong.
        file: the configuration file; a relative path is relative to its directory.
    """
    if said is not None and said == Path():
        problems.add(("data_dir",), "names no directory; give a path or leave it out")
    chosen = env.read("TOCSIN_DATA_DIR", _directory, beside(file, said))
    if chosen is not None:
        return chosen.absolute()
    data = env.read("XDG_DATA_HOME", _directory, None)
    if data is not None and data.is_absolute():  # the specification says to ignore relative paths
        return data / "tocsin"
    home = env.get("HOME")
    if os.geteuid() == 0 or home is None:
        return Path("/var/lib/tocsin")
    return Path(home) / ".local/share/tocsin"


def beside(file: Path | None, path: Path | None) -> Path | None:
    """Resolve a path in a configuration file relative to that file, not the working directory."""
    return path if path is None or file is None else file.absolute().parent / path


def interval_of(text: str) -> float:
    """Parse the interval of a check into seconds.

    Raises:
        ValueError: the text is no duration, or too short.
    """
    seconds = parse_duration(text)
    if seconds < MIN_INTERVAL:
        raise ValueError(f"must be at least {MIN_INTERVAL:g} s")
    return seconds


def database_url(text: str) -> Secret:
    """Return the URL of a PostgreSQL database as a Secret.

    Raises:
        ValueError: it is not valid; the message does not quote it.
    """
    check_dsn(text)
    return Secret(text)


def _directory(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{show(text)}: {error}; write the path in full") from None

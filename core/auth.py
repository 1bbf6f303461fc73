"""Who may do what: bearer tokens with roles, kept as hashes in one small file.

It is no part of the journal, which is written anew from memory where it is damaged: a token that
was made or revoked by another process meanwhile would be gone, or good again.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import msgspec
from attrs import evolve, field, frozen

from tocsin.core.ids import new_id
from tocsin.core.runtime.owned import write_private
from tocsin.core.runtime.sqlite_file import (
    DamagedError,
    as_os_error,
    connect,
    is_busy,
    is_damage,
    transaction,
)

PREFIX = "tocsin_"
"""Prefix by which people and secret scanners recognize a token."""

TOKEN_BYTES = 32
"""256 random bits."""

_TABLE = "CREATE TABLE IF NOT EXISTS tokens (id TEXT PRIMARY KEY, data BLOB NOT NULL)"


class Role(StrEnum):
    """Each role may do what the one before may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """0 for the least."""
        return list(Role).index(self)

    def covers(self, needed: Role) -> bool:
        """Whether this role may do what ``needed`` may."""
        return self.rank >= needed.rank


@frozen(kw_only=True)
class TokenInfo:
    """A token without the token: times are aware UTC, ``hash`` is SHA-256 in hex."""

    id: UUID
    name: str
    role: Role
    hash: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def state(self) -> str:
        """``valid``, ``expired`` or ``revoked``."""
        return self.state_at(datetime.now(UTC))

    def state_at(self, now: datetime) -> str:
        """The state at a moment."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


class TokenStore:
    """The tokens' file. The command line changes it while a server reads it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._earlier = path.with_name("tokens.json")
        """Where versions before kept them."""
        self._known: dict[UUID, TokenInfo] | None = None
        """As they were read last, and what the file's stamp was then."""
        self._stamp: tuple[object, ...] | None = None
        self._last: tuple[TokenInfo, ...] | None = None
        """All tokens, those of an earlier version included, as they were returned last."""

    def all(self) -> tuple[TokenInfo, ...]:
        """All tokens, oldest first. Raises OSError, ValueError for a file that cannot be used."""
        earlier = self._of_earlier()  # first: another process may be moving them
        with _telling(self._path):
            try:
                self._known = self._read_now()
            except (sqlite3.Error, OSError) as error:
                if self._last is None or not self._holds(error):
                    raise
                return self._last
        self._last = tuple({**earlier, **self._known}.values())
        return self._last

    def _holds(self, error: sqlite3.Error | OSError) -> bool:
        """Whether what was returned last holds though the file could not be read."""
        if isinstance(error, sqlite3.Error):
            return is_busy(error)  # a change that is not finished yet does not hold yet
        if error.errno not in (errno.EMFILE, errno.ENFILE) or self._stamp is None:
            return False
        status = self._path.stat()  # which takes no descriptor
        return self._stamp[:3] == (status.st_dev, status.st_ino, status.st_mtime_ns)

    def _read_now(self) -> dict[UUID, TokenInfo]:
        if (stamp := _stamp(self._path)) is None:
            self._stamp = None  # it may come back as it was
            return {}
        if self._known is not None and stamp == self._stamp:
            return self._known
        wait = 5.0 if self._known is None else 0.0
        uri = f"{self._path.absolute().as_uri()}?mode=rw"  # also of a file that can only be read
        with closing(sqlite3.connect(uri, wait, uri=True, isolation_level=None)) as db:
            db.execute("BEGIN")
            known = _read(db, self._path)
            # Reading undoes a change that was cut off: the stamp has to be of what was read.
            self._stamp = stamp if stamp == _stamp(self._path) else None
        return known

    def take_over(self) -> None:
        """Move here what an earlier version left, as soon as it can be written.

        Raises:
            ValueError: it is damaged.
        """
        if self._earlier.exists():
            with suppress(OSError), self._changing():
                pass

    def create(
        self, name: str, role: Role, ttl: float | None = None, keep: Path | None = None
    ) -> str:
        """Make a token that is good for ``ttl`` seconds (None: for good); returns it in plain.

        ``keep``: a private file to put it into first. Where that cannot be written there is no
        token either, and not one that nobody knows.

        Raises:
            ValueError: the name is taken by a valid token, or is no name.
            OSError: the files cannot be written.
        """
        if not name or len(name) > 100 or not name.isprintable():
            raise ValueError("a token's name has 1 to 100 printable characters")
        now = datetime.now(UTC)
        plain = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        with self._changing() as tokens:
            if any(t.name == name and t.state_at(now) == "valid" for t in tokens):
                raise ValueError(
                    f"there is a token called {name!r}; revoke it first, or choose another"
                )
            tokens.append(
                TokenInfo(
                    id=new_id(),
                    name=name,
                    role=role,
                    hash=_hash(plain),
                    created_at=now,
                    expires_at=None if ttl is None else now + timedelta(seconds=ttl),
                )
            )
            if keep is not None:
                write_private(keep, (plain + "\n").encode())
        return plain

    def revoke(self, name: str) -> None:
        """Make the tokens of that name (or id) useless. Raises KeyError where there is none."""
        now = datetime.now(UTC)
        with self._changing() as tokens:
            found = [
                n
                for n, token in enumerate(tokens)
                if name in (token.name, str(token.id)) and token.revoked_at is None
            ]
            if not found:
                raise KeyError(name)
            for n in found:
                tokens[n] = evolve(tokens[n], revoked_at=now)

    def find(self, plain: str) -> TokenInfo | None:
        """Return the token, whatever its state. The time it takes reveals nothing of the hashes."""
        digest = _hash(plain)
        found = None
        for token in self.all():
            if hmac.compare_digest(token.hash.encode(), digest.encode()):
                found = token
        return found

    @contextmanager
    def _changing(self) -> Iterator[list[TokenInfo]]:
        with (
            _telling(self._path),
            closing(connect(self._path, ahead=False)) as db,
            transaction(db),
        ):
            tokens = list({**self._of_earlier(), **_read(db, self._path)}.values())
            yield tokens
            db.execute(_TABLE)
            db.executemany(
                "INSERT OR REPLACE INTO tokens (id, data) VALUES (?, ?)",
                [(str(token.id), msgspec.json.encode(token)) for token in tokens],
            )
        for left in (self._earlier, self._earlier.with_suffix(".lock")):
            with suppress(OSError):
                left.unlink()

    def _of_earlier(self) -> dict[UUID, TokenInfo]:
        """Tokens of an earlier version that were not taken over yet."""
        if not self._earlier.exists():
            return {}
        try:
            tokens = msgspec.json.decode(self._earlier.read_bytes(), type=tuple[TokenInfo, ...])
        except FileNotFoundError:
            return {}
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _damaged(self._earlier, error) from error
        return {token.id: token for token in tokens}


def _stamp(path: Path) -> tuple[object, ...] | None:
    """What no two states of a file have in common: SQLite counts its changes in bytes 24 to 27
    (https://www.sqlite.org/fileformat2.html#file_change_counter). None where there is no file."""
    try:
        with path.open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            return status.st_dev, status.st_ino, status.st_mtime_ns, file.read(28)
    except FileNotFoundError:
        return None


def _read(db: sqlite3.Connection, path: Path) -> dict[UUID, TokenInfo]:
    """The tokens, within the caller's transaction."""
    if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
        if path.stat().st_size:  # a few bytes of something else, which SQLite would write over
            raise DamagedError("it holds no tokens")
        return {}  # what would have been the first change did not come to its end
    rows = db.execute("SELECT data FROM tokens ORDER BY id").fetchall()
    try:
        tokens = [msgspec.json.decode(data, type=TokenInfo) for (data,) in rows]
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
        raise DamagedError(str(error)) from error
    return {token.id: token for token in tokens}


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Raises ValueError for a damaged file, OSError for one that cannot be used now."""
    try:
        yield
    except (sqlite3.Error, DamagedError) as error:
        if is_damage(error):
            raise _damaged(path, error) from error
        raise as_os_error(error, path) from error


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path} is damaged ({error}); restore it, or delete it and start tocsin anew for a new "
        "admin token"
    )


def ensure_admin(data_dir: Path, tokens: TokenStore) -> Path:
    """At the first start, make an admin token and keep it in ``admin.token``, mode 0600.

    Also when that file holds a token that is good no more. Returns the file's path.

    Raises:
        OSError, ValueError: the files cannot be read or written, or are damaged.
    """
    tokens.take_over()
    path = data_dir / "admin.token"
    ensure_token(path, tokens, "admin", Role.ADMIN)
    return path


def ensure_token(path: Path, tokens: TokenStore, name: str, role: Role) -> None:
    """See that ``path`` holds a good token of that role, readable by its owner only.

    Raises:
        OSError, ValueError: the files cannot be read or written, or are damaged.
    """
    now = datetime.now(UTC)
    try:
        known = tokens.find(path.read_bytes().decode("utf-8", "surrogateescape").strip())
        with suppress(OSError):  # on a file system that cannot be written
            path.chmod(0o600)
    except FileNotFoundError:
        known = None
    if known is None or known.role is not role or known.state_at(now) != "valid":
        if any(token.name == name for token in tokens.all()):
            name = f"{name} {now:%Y-%m-%d %H:%M:%S}"
        tokens.create(name, role, keep=path)


def _hash(plain: str) -> str:
    # What came as a header may be any bytes; aiohttp hands the odd ones on as surrogates.
    return hashlib.sha256(plain.encode("utf-8", "surrogateescape")).hexdigest()

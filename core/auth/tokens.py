"""Bearer tokens with roles, stored as hashes in one small file.

The tokens are not part of the journal. A damaged journal is rewritten from memory; that would drop
a token that another process has created since, or make a revoked one valid again.
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
from pathlib import Path
from uuid import UUID

import msgspec
from attrs import evolve, field, frozen

from tocsin.core.contracts.route import Role
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
"""Prefix by which people and secret scanners recognise a token."""

TOKEN_BYTES = 32
"""Length of a token's random part: 256 bits."""

_TABLE = "CREATE TABLE IF NOT EXISTS tokens (id TEXT PRIMARY KEY, data BLOB NOT NULL)"


@frozen(kw_only=True)
class TokenInfo:
    """What is stored of a token; times are aware UTC, ``hash`` is its SHA-256 in hex."""

    id: UUID
    name: str
    role: Role
    hash: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def state(self) -> str:
        """Return the current state: ``valid``, ``expired`` or ``revoked``."""
        return self.state_at(datetime.now(UTC))

    def state_at(self, now: datetime) -> str:
        """Return the state at a time."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


class TokenStore:
    """The file of tokens. The command line may change it while a server reads it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._earlier = path.with_name("tokens.json")
        """The file in which earlier versions stored the tokens."""
        self._known: dict[UUID, TokenInfo] | None = None
        """The tokens as of the last reading of the file."""
        self._stamp: tuple[object, ...] | None = None  # of the file at that reading
        self._last: tuple[TokenInfo, ...] | None = None
        """What ``all`` returned last: all tokens, including those of an earlier version."""

    def all(self) -> tuple[TokenInfo, ...]:
        """Return all tokens, oldest first.

        Raises:
            OSError: a file cannot be read now.
            ValueError: a file is damaged.
        """
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
        """Return whether the last result is still valid although the file cannot be read."""
        if isinstance(error, sqlite3.Error):
            return is_busy(error)  # another process's change is not committed yet
        if error.errno not in (errno.EMFILE, errno.ENFILE) or self._stamp is None:
            return False
        status = self._path.stat()  # needs no file descriptor
        return self._stamp[:3] == (status.st_dev, status.st_ino, status.st_mtime_ns)

    def _read_now(self) -> dict[UUID, TokenInfo]:
        if (stamp := _stamp(self._path)) is None:
            self._stamp = None  # the same file may be put back later
            return {}
        if self._known is not None and stamp == self._stamp:
            return self._known
        wait = 5.0 if self._known is None else 0.0
        uri = f"{self._path.absolute().as_uri()}?mode=rw"  # "rw" also opens a read-only file
        with closing(sqlite3.connect(uri, wait, uri=True, isolation_level=None)) as db:
            db.execute("BEGIN")
            known = _read(db, self._path)
            # Reading may roll back an interrupted change. The stamp is kept only if it
            # belongs to the content that was read.
            self._stamp = stamp if stamp == _stamp(self._path) else None
        return known

    def take_over(self) -> None:
        """Move the tokens of an earlier version into this file, if it can be written now.

        Raises:
            ValueError: a file is damaged.
        """
        if self._earlier.exists():
            with suppress(OSError), self._changing():
                pass

    def create(
        self, name: str, role: Role, ttl: float | None = None, keep: Path | None = None
    ) -> str:
        """Create a token and return its plain text, which is stored nowhere else.

        Args:
            name: name of the token.
            role: role of the token.
            ttl: seconds until it expires; None for never.
            keep: a private file to write the plain text to. It is written before the token is
                committed, so that no token exists whose plain text is lost.

        Raises:
            ValueError: a valid token has this name, the name is invalid, or the file is damaged.
            OSError: the files cannot be written.
        """
        if not name or len(name) > 100 or not name.isprintable():
            raise ValueError("a token's name has 1 to 100 printable characters")
        now = datetime.now(UTC)
        plain = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        with self._changing() as tokens:
            if any(t.name == name and t.state_at(now) == "valid" for t in tokens):
                raise ValueError(
                    f"there is a token called {name!r}; revoke it first, or choose another name"
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
        """Revoke the tokens with this name or id.

        Raises:
            KeyError: there is no such token that is not revoked yet.
            ValueError: the file is damaged.
            OSError: the file cannot be written.
        """
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
        """Return the token with this plain text, in any state, or None.

        The comparison takes constant time, so that its duration reveals nothing about the hashes.

        Raises:
            OSError: a file cannot be read now.
            ValueError: a file is damaged.
        """
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
        """Return the tokens of an earlier version that were not moved yet."""
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
    """Return values that differ between any two states of a file; None if there is no file.

    They include SQLite's change counter, bytes 24 to 27 of the header:
    https://www.sqlite.org/fileformat2.html#file_change_counter
    """
    try:
        with path.open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            return status.st_dev, status.st_ino, status.st_mtime_ns, file.read(28)
    except FileNotFoundError:
        return None


def _read(db: sqlite3.Connection, path: Path) -> dict[UUID, TokenInfo]:
    """Return the tokens; called within a transaction.

    Raises:
        DamagedError: the file holds something other than tokens.
    """
    if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
        if path.stat().st_size:  # a few foreign bytes, which SQLite would overwrite
            raise DamagedError("it holds no tokens")
        return {}  # the first change was interrupted
    rows = db.execute("SELECT data FROM tokens ORDER BY id").fetchall()
    try:
        tokens = [msgspec.json.decode(data, type=TokenInfo) for (data,) in rows]
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
        raise DamagedError(str(error)) from error
    return {token.id: token for token in tokens}


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Turn errors of SQLite into ValueError (damaged file) or OSError (file not usable now)."""
    try:
        yield
    except (sqlite3.Error, DamagedError) as error:
        if is_damage(error):
            raise _damaged(path, error) from error
        raise as_os_error(error, path) from error


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path} is damaged ({error}); restore it, or delete it and restart tocsin, which then "
        "creates a new admin token"
    )


def _hash(plain: str) -> str:
    # A header may hold any bytes; aiohttp decodes those that are not UTF-8 as surrogates.
    return hashlib.sha256(plain.encode("utf-8", "surrogateescape")).hexdigest()

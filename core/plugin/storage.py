"""Values that plugins keep over restarts, in one file of the data directory."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TypeVar

from attrs import define, field

from tocsin.core.contracts.context import Json
from tocsin.core.logs import get_logger
from tocsin.core.runtime.owned import give_to_owner
from tocsin.core.runtime.sqlite_file import as_os_error, connect, is_damage, set_aside

log = get_logger(__name__)
T = TypeVar("T")

LONGEST_KEY = 200
"""Characters."""

LARGEST = 64 * 1024
"""Bytes of one value as JSON."""

MOST = 1000
"""Keys of one plugin."""

_TABLE = (
    "CREATE TABLE IF NOT EXISTS stored (plugin TEXT, key TEXT, value BLOB NOT NULL,"
    " PRIMARY KEY (plugin, key)) STRICT, WITHOUT ROWID"
)


@define(eq=False)
class StorageFile:
    """The file with the values of all plugins.

    It is opened when a plugin first uses it. Every method blocks and may be called from any thread.

    Attributes:
        path: the file.
    """

    path: Path
    _db: sqlite3.Connection | None = field(init=False, default=None)
    _lock: Lock = field(init=False, factory=Lock)

    def get(self, plugin: str, key: str) -> bytes | None:
        """Return a value as JSON; None if there is none. Raises OSError."""
        question = "SELECT value FROM stored WHERE plugin = ? AND key = ?"
        with self._lock:
            found = self._do(lambda db: db.execute(question, (plugin, key)).fetchone())
        return None if found is None else bytes(found[0])

    def keys(self, plugin: str) -> list[str]:
        """Return the keys of a plugin, sorted by code point. Raises OSError."""
        question = "SELECT key FROM stored WHERE plugin = ? ORDER BY key"
        with self._lock:
            found = self._do(lambda db: db.execute(question, (plugin,)).fetchall())
        return [key for (key,) in found]

    def put(self, plugin: str, key: str, value: bytes | None) -> None:
        """Store a value as JSON, None: remove it. Raises OSError; ValueError for too many keys."""
        with self._lock:
            self._do(lambda db: self._put(db, plugin, key, value))

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Use the file. After an error it is opened anew, and the work tried once more; a damaged
        file is moved aside before.

        Raises:
            OSError: it cannot be used.
        """
        for is_last in (False, True):
            try:
                return work(self._open())
            except sqlite3.Error as error:
                self._drop()
                if is_last:
                    raise as_os_error(error, self.path) from error
                if is_damage(error):
                    self._set_aside(error)
        raise AssertionError("the last attempt returns or raises")

    def _set_aside(self, error: sqlite3.Error) -> None:
        log.error("the stored values of plugins were damaged; they begin anew",
                  file=str(self.path), moved_to=str(set_aside(self.path)),
                  reason=str(error))  # fmt: skip

    def _put(self, db: sqlite3.Connection, plugin: str, key: str, value: bytes | None) -> None:
        if value is None:
            db.execute("DELETE FROM stored WHERE plugin = ? AND key = ?", (plugin, key))
            return
        others = "SELECT count(*) FROM stored WHERE plugin = ? AND key <> ?"
        if db.execute(others, (plugin, key)).fetchone()[0] >= MOST:
            raise ValueError(f"plugin {plugin} has {MOST} stored keys; remove some with None")
        db.execute("INSERT OR REPLACE INTO stored VALUES (?, ?, ?)", (plugin, key, value))

    def close(self) -> None:
        """Close the file; a later use opens it again."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            db = connect(self.path, ahead=False)
            try:
                give_to_owner(self.path)
                db.execute(_TABLE)
            except (OSError, sqlite3.Error):
                db.close()
                raise
            self._db = db
        return self._db


@define(eq=False)
class PluginStorage:
    """The values of one plugin; see :class:`tocsin.core.contracts.context.Storage`.

    Attributes:
        file: the file with the values of all plugins.
        plugin: name of the plugin.
    """

    file: StorageFile
    plugin: str

    async def get(self, key: str) -> Json:
        """Return the value of ``key``; None if there is none. Raises OSError."""
        raw = await asyncio.to_thread(self.file.get, self.plugin, key)
        found: Json = None if raw is None else json.loads(raw)
        return found

    async def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with ``prefix``, sorted. Raises OSError."""
        found = await asyncio.to_thread(self.file.keys, self.plugin)
        return [key for key in found if key.startswith(prefix)]

    async def put(self, key: str, value: Json) -> None:
        """Store a value; None removes the key. Raises OSError, ValueError."""
        check_key(key)
        raw = None if value is None else encoded(value)
        await asyncio.to_thread(self.file.put, self.plugin, key, raw)


def check_key(key: str) -> None:
    """Raise ValueError unless a key has a length that is kept."""
    if not key or len(key) > LONGEST_KEY:
        raise ValueError(f"a key has 1 to {LONGEST_KEY} characters, not {len(key)}")


def encoded(value: Json) -> bytes:
    """Return a value as JSON. Raises ValueError if it is none, or too large."""
    try:
        raw = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the value is no JSON: {error}") from error
    if len(raw) > LARGEST:
        raise ValueError(f"the value has {len(raw)} bytes as JSON; at most {LARGEST} are kept")
    return raw

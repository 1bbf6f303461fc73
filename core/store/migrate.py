"""Bringing the database's schema up to date."""

from __future__ import annotations

from importlib.resources import files

from tocsin.core.store.connection import Connection, transaction

LOCK = 0x746F6373696E  # "tocsin" in ASCII, for advisory locks

MIGRATIONS: tuple[tuple[int, str], ...] = ()
"""Steps from version 1 on: (version, SQL). ``schema.sql`` always holds the newest whole."""

SCHEMA_VERSION = max((version for version, _ in MIGRATIONS), default=1)


async def migrate(connection: Connection) -> int:
    """Apply what is missing, in one transaction, one tocsin at a time; returns the version.

    Raises:
        RuntimeError: the schema was made by a newer tocsin.
    """
    async with transaction(connection):
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        if not await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = 'tocsin'"):
            await connection.execute("CREATE SCHEMA tocsin")
        known = await connection.fetchval("SELECT to_regclass('tocsin.schema_version')::text")
        if known is None:
            await connection.execute(files("tocsin").joinpath("schema.sql").read_text())
            await connection.execute(
                "INSERT INTO schema_version (version) VALUES ($1)", SCHEMA_VERSION
            )
            return SCHEMA_VERSION
        version: int = await connection.fetchval("SELECT max(version) FROM schema_version")
        if version > SCHEMA_VERSION:
            raise RuntimeError(
                f"the database has schema version {version}, this tocsin knows {SCHEMA_VERSION}; "
                "run the newer tocsin, or another database"
            )
        for number, statements in MIGRATIONS:
            if number > version:
                await connection.execute(statements)
                await connection.execute("INSERT INTO schema_version (version) VALUES ($1)", number)
    return SCHEMA_VERSION

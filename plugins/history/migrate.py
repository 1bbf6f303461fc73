"""Migration of the database's schema."""

from __future__ import annotations

from importlib.resources import files

from tocsin.plugins.history._log import log
from tocsin.plugins.history.connection import Connection, transaction

LOCK = 0x746F6373696E  # "tocsin" in ASCII; key of advisory locks
OLDEST_SERVER = 14
"""The first major version of PostgreSQL with ``date_bin``."""

_OUT_OF_JSON = """
    INSERT INTO metric_sets (names)
    SELECT DISTINCT names FROM {table}, LATERAL (
        SELECT array_agg(key ORDER BY key) AS names FROM jsonb_object_keys(metrics) AS key
    ) AS n WHERE names IS NOT NULL AND names NOT IN (SELECT names FROM metric_sets);
    ALTER TABLE {table} ADD COLUMN metric_set integer, ADD COLUMN stats float8[];
    UPDATE {table} AS r SET metric_set = s.id, stats = n.stats FROM {table} AS old, LATERAL (
        SELECT array_agg(key ORDER BY key) AS names, array_agg(ARRAY[
            (value->>0)::float8, (value->>1)::float8, (value->>2)::float8, (value->>3)::float8
        ] ORDER BY key) AS stats FROM jsonb_each(old.metrics)
    ) AS n JOIN metric_sets AS s USING (names)
    WHERE r.check_id = old.check_id AND r.at = old.at;
    ALTER TABLE {table} DROP COLUMN metrics;
"""
"""Converts metrics of roll-ups from JSON, ``name: [count, min, average, max]``, to arrays."""

_BY_TIME = """
    CREATE INDEX {table}_{column} ON {table}
        USING brin ({column}) WITH (pages_per_range = 32, autosummarize = on);
"""

MIGRATIONS: tuple[tuple[int, str], ...] = (
    (2, "CREATE TABLE rollup_late (at timestamptz NOT NULL)"),
    (
        3,
        """
        ALTER TABLE system_alerts
            ADD COLUMN flaps integer NOT NULL DEFAULT 0,
            ADD COLUMN revision bigint NOT NULL DEFAULT 0,
            ADD COLUMN state jsonb;
        CREATE INDEX system_alerts_container ON system_alerts (container_name, id DESC);
        ALTER TABLE notifications
            ADD COLUMN message_id uuid,
            ADD COLUMN answer text NOT NULL DEFAULT '',
            ADD COLUMN revision bigint NOT NULL DEFAULT 0;
        CREATE INDEX notifications_created ON notifications (created_at DESC, id DESC);
        """,
    ),
    (4, "ALTER TABLE silences ADD COLUMN maintenance jsonb"),
    (
        5,
        """
        CREATE TABLE metric_sets (
            id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, names text[] NOT NULL
        );
        """
        + "".join(_OUT_OF_JSON.format(table=f"check_rollup_{name}") for name in ("1m", "1h", "1d"))
        + _BY_TIME.format(table="check_results", column="at")
        + _BY_TIME.format(table="container_metrics", column="timestamp")
        + _BY_TIME.format(table="check_rollup_1m", column="at")
        + _BY_TIME.format(table="check_rollup_1h", column="at"),
    ),
    (
        6,
        """
        ALTER TABLE notifications ADD COLUMN state jsonb;
        CREATE INDEX notifications_queued ON notifications (id) WHERE decision = 'queued';
        """,
    ),
)
"""Steps from version 1 on: (version, SQL). ``schema.sql`` always holds the newest schema."""

_SHOWN = {
    "container_metrics": "id, container_name, timestamp, status, health_status, cpu_percent, "
    "memory_bytes, memory_percent, network_rx_bytes, network_tx_bytes, restart_count, "
    "uptime_seconds",
    "system_alerts": "id, alert_type, severity, container_name, message, details, created_at, "
    "acknowledged_at, acknowledged_by, resolved_at, notification_sent",
}
"""Tables that people query without a schema name, with their columns. A migration that changes one
of these columns has to drop the view first.
"""

SCHEMA_VERSION = max((version for version, _ in MIGRATIONS), default=1)


async def migrate(connection: Connection) -> int:
    """Apply the missing migrations in one transaction, guarded by a lock against other tocsins.

    Afterwards the tables of :data:`_SHOWN` are visible as views in the schema ``public``.

    Returns:
        The version of the schema.

    Raises:
        RuntimeError: the schema was made by a newer tocsin, or the server is too old.
    """
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        raise RuntimeError(
            f"the server is PostgreSQL {version.major}, tocsin needs {OLDEST_SERVER} or newer"
        )
    async with transaction(connection):
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        if not await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = 'tocsin'"):
            await connection.execute("CREATE SCHEMA tocsin")
        known = await connection.fetchval("SELECT to_regclass('tocsin.schema_version')::text")
        if known is None:
            await connection.execute(files("tocsin").joinpath("schema.sql").read_text("utf-8"))
            await connection.execute(
                "INSERT INTO schema_version (version) VALUES ($1)", SCHEMA_VERSION
            )
            await _show(connection)
            return SCHEMA_VERSION
        found: int = await connection.fetchval("SELECT max(version) FROM schema_version")
        if found > SCHEMA_VERSION:
            raise RuntimeError(
                f"the database has schema version {found}, this tocsin supports {SCHEMA_VERSION}; "
                "run the newer tocsin, or use another database"
            )
        for number, statements in MIGRATIONS:
            if number > found:
                await connection.execute(statements)
                await connection.execute("INSERT INTO schema_version (version) VALUES ($1)", number)
        await _show(connection)
    return SCHEMA_VERSION


async def _show(connection: Connection) -> None:
    """Create views in ``public`` of the tables of :data:`_SHOWN`.

    tocsin's own schema is not on people's search_path. No view is made if its name is taken or the
    privilege is missing.
    """
    for name, columns in _SHOWN.items():
        kind = await connection.fetchval(
            "SELECT relkind::text FROM pg_class WHERE oid = to_regclass('public.' || $1)", name
        )
        may = "SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = $1"
        if kind is None and await connection.fetchval(may, "public"):
            source = f"SELECT {columns} FROM tocsin.{name}"
            await connection.execute(f"CREATE VIEW public.{name} AS {source}")
        elif kind != "v":
            why = (
                "tocsin may not create a view there"
                if kind is None
                else "another table has its name"
            )
            log.info("a table is not shown in the schema public", table=f"tocsin.{name}", why=why)

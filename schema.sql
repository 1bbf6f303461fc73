-- tocsin's whole schema, version 6. PostgreSQL 14 or newer.
--
-- Everything lies in the schema "tocsin", so that it can live in a database that has other tenants:
-- the plan puts it beside the application's own tables in "forex". container_metrics and
-- system_alerts keep the plan's names and columns; some types are wider.
--
-- Time series are partitioned by range: raw samples and one-minute roll-ups by day, coarser ones by
-- month. Partitions are made ahead by tocsin (core/store/partitions.py) and dropped by retention;
-- there is no DEFAULT partition, since it would have to be scanned whenever one is added. Primary keys
-- find one check's history; block range indexes, of a few kilobytes, find a stretch of time, for rows
-- come in the order of time.
--
-- Applied by core/store/migrate.py in one transaction under an advisory lock.

CREATE TABLE schema_version (
    version    integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- Each batch of history carries an id of ours. Its row is written in the batch's own transaction, so
-- that a batch whose COMMIT was never answered is written once and not twice.
CREATE TABLE ingest_batches (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ingest_batches_at ON ingest_batches (at);

-- A number for each check, so that a sample does not repeat two names.
CREATE TABLE checks (
    id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target text NOT NULL,
    name   text NOT NULL,
    UNIQUE (target, name)
);

CREATE TABLE check_results (
    check_id        integer     NOT NULL,
    at              timestamptz NOT NULL,
    status          smallint    NOT NULL,   -- 0 up, 1 degraded, 2 down, 3 unknown
    latency_seconds real,
    message         text,
    metrics         jsonb,                  -- name: number; container metrics lie in container_metrics
    PRIMARY KEY (check_id, at)
) PARTITION BY RANGE (at);
CREATE INDEX check_results_at ON check_results
    USING brin (at) WITH (pages_per_range = 32, autosummarize = on);

CREATE SEQUENCE container_metrics_id_seq;
CREATE TABLE container_metrics (
    id               bigint       NOT NULL DEFAULT nextval('container_metrics_id_seq'),
    check_id         integer      NOT NULL, -- the source's check: check_results has the same moment
    container_name   text         NOT NULL,
    timestamp        timestamptz  NOT NULL,
    status           varchar(20)  NOT NULL, -- running, stopped, restarting, paused
    health_status    varchar(20),           -- healthy, unhealthy, starting, none
    cpu_percent      real,                  -- 100 = one core, so it passes 999 on big hosts
    memory_bytes     bigint,
    memory_percent   real,
    network_rx_bytes bigint,
    network_tx_bytes bigint,
    restart_count    integer,
    uptime_seconds   bigint,
    PRIMARY KEY (check_id, timestamp)
) PARTITION BY RANGE (timestamp);
CREATE INDEX idx_container_metrics_name_time ON container_metrics (container_name, timestamp DESC);
CREATE INDEX container_metrics_timestamp ON container_metrics
    USING brin (timestamp) WITH (pages_per_range = 32, autosummarize = on);

-- The metrics that one row of a roll-up has, in order: few checks differ in theirs, so that a row needs
-- not repeat the names.
CREATE TABLE metric_sets (
    id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    names text[] NOT NULL
);

-- Roll-ups: how often each status was seen, and what was measured, latency among it.
CREATE TABLE check_rollup_1m (
    check_id   integer     NOT NULL,
    at         timestamptz NOT NULL,        -- start of the interval
    up         integer     NOT NULL,
    degraded   integer     NOT NULL,
    down       integer     NOT NULL,
    unknown    integer     NOT NULL,
    metric_set integer,
    stats      float8[],                    -- for each name of the set: count, min, average, max
    PRIMARY KEY (check_id, at)
) PARTITION BY RANGE (at);
CREATE TABLE check_rollup_1h (LIKE check_rollup_1m, PRIMARY KEY (check_id, at)) PARTITION BY RANGE (at);
CREATE TABLE check_rollup_1d (LIKE check_rollup_1m, PRIMARY KEY (check_id, at)) PARTITION BY RANGE (at);
CREATE INDEX check_rollup_1m_at ON check_rollup_1m
    USING brin (at) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX check_rollup_1h_at ON check_rollup_1h
    USING brin (at) WITH (pages_per_range = 32, autosummarize = on);

-- Up to where each roll-up is complete.
CREATE TABLE rollup_state (
    resolution text PRIMARY KEY,
    done_until timestamptz NOT NULL
);

-- Moments of samples that came late: the next round of roll-ups begins at the oldest of them.
CREATE TABLE rollup_late (
    at timestamptz NOT NULL
);

CREATE TABLE container_events (
    id         uuid        NOT NULL,        -- UUIDv7
    at         timestamptz NOT NULL,
    target     text        NOT NULL,
    source     text        NOT NULL,
    action     text        NOT NULL,
    attributes jsonb,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX container_events_target ON container_events (target, at DESC);

CREATE TABLE system_alerts (
    id                uuid PRIMARY KEY,     -- UUIDv7
    alert_type        varchar(50)  NOT NULL,
    severity          varchar(20)  NOT NULL, -- critical, warning, info
    container_name    text,
    message           text         NOT NULL,
    details           jsonb,
    created_at        timestamptz  NOT NULL DEFAULT now(),
    acknowledged_at   timestamptz,
    acknowledged_by   varchar(100),
    resolved_at       timestamptz,
    notification_sent boolean      NOT NULL DEFAULT false,
    flaps             integer      NOT NULL DEFAULT 0,
    revision          bigint       NOT NULL DEFAULT 0, -- a later one replaces an earlier one
    state             jsonb                 -- the whole alert, for a start without its journal
);
CREATE INDEX idx_alerts_active ON system_alerts (created_at DESC) WHERE resolved_at IS NULL;
CREATE INDEX system_alerts_container ON system_alerts (container_name, id DESC);
CREATE INDEX idx_alerts_created ON system_alerts (created_at DESC);

-- The ledger: each decision to tell, or not to tell, a channel of an alert's transition.
CREATE TABLE notifications (
    id           uuid PRIMARY KEY,          -- UUIDv7, kept over retries
    alert_id     uuid        NOT NULL,
    channel      text        NOT NULL,
    transition   text        NOT NULL,
    decision     text        NOT NULL,      -- sent, inhibited, silenced, cooldown …
    reason       text        NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL,
    delivered_at timestamptz,
    message_id   uuid,                      -- the message it went out in, with others perhaps
    answer       text        NOT NULL DEFAULT '', -- what the provider said
    revision     bigint      NOT NULL DEFAULT 0,
    state        jsonb                      -- the whole row while it waits, for a start without its journal
);
CREATE INDEX notifications_queued ON notifications (id) WHERE decision = 'queued';
CREATE INDEX notifications_created ON notifications (created_at DESC, id DESC);
CREATE INDEX notifications_alert ON notifications (alert_id, created_at);

CREATE TABLE silences (
    id         uuid PRIMARY KEY,            -- UUIDv7
    matchers   jsonb       NOT NULL,
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    created_by text        NOT NULL,
    comment    text        NOT NULL DEFAULT '',
    maintenance jsonb                       -- the window in which alone it holds, if any
);
CREATE INDEX silences_ends_at ON silences (ends_at);

CREATE TABLE audit (
    id      uuid PRIMARY KEY,               -- UUIDv7
    at      timestamptz NOT NULL,
    actor   text        NOT NULL,
    role    text        NOT NULL,
    action  text        NOT NULL,
    subject text        NOT NULL,
    outcome text        NOT NULL,
    details jsonb
);
CREATE INDEX audit_at ON audit (at DESC, id DESC);

-- tocsin's complete schema, version 6. PostgreSQL 14 or newer.
--
-- All tables are in the schema "tocsin", so that a database can be shared with applications: the plan
-- puts them into the database "forex", next to the application's own tables. container_metrics and
-- system_alerts have the names and columns of the plan; some types are wider.
--
-- Time series are partitioned by range: raw samples and one-minute roll-ups by day, coarser roll-ups by
-- month. tocsin creates partitions in advance (plugins/history/partitions.py) and drops them by retention.
-- There is no DEFAULT partition, since it would have to be scanned whenever a partition is added.
-- Primary keys are used for the history of one check; block range indexes, which take a few kilobytes,
-- are used for time ranges, since rows are inserted in the order of time.
--
-- Applied by plugins/history/migrate.py in one transaction under an advisory lock.

CREATE TABLE schema_version (
    version    integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- tocsin gives each batch of history an id. Its row is written in the batch's own transaction, so
-- that a batch whose COMMIT was never answered is not written twice.
CREATE TABLE ingest_batches (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ingest_batches_at ON ingest_batches (at);

-- A number for each check, so that samples need not repeat the names of target and check.
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
    metrics         jsonb,                  -- name: number; container metrics are in container_metrics
    PRIMARY KEY (check_id, at)
) PARTITION BY RANGE (at);
CREATE INDEX check_results_at ON check_results
    USING brin (at) WITH (pages_per_range = 32, autosummarize = on);

CREATE SEQUENCE container_metrics_id_seq;
CREATE TABLE container_metrics (
    id               bigint       NOT NULL DEFAULT nextval('container_metrics_id_seq'),
    check_id         integer      NOT NULL, -- the source's check; check_results has a row with the same time
    container_name   text         NOT NULL,
    timestamp        timestamptz  NOT NULL,
    status           varchar(20)  NOT NULL, -- running, stopped, restarting, paused
    health_status    varchar(20),           -- healthy, unhealthy, starting, none
    cpu_percent      real,                  -- 100 = one core, so it can exceed 999 on large hosts
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

-- The names of the metrics in one row of a roll-up, in order. Most checks share them, so that rows
-- refer to a set instead of repeating the names.
CREATE TABLE metric_sets (
    id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    names text[] NOT NULL
);

-- Roll-ups: the number of results with each status, and statistics of the metrics, including latency.
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

-- The time up to which each roll-up is complete.
CREATE TABLE rollup_state (
    resolution text PRIMARY KEY,
    done_until timestamptz NOT NULL
);

-- Times of samples that arrived late: the next roll-up starts at the oldest of them.
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
    revision          bigint       NOT NULL DEFAULT 0, -- a higher revision replaces a lower one
    state             jsonb                 -- the whole alert, for a start without a journal
);
CREATE INDEX idx_alerts_active ON system_alerts (created_at DESC) WHERE resolved_at IS NULL;
CREATE INDEX system_alerts_container ON system_alerts (container_name, id DESC);
CREATE INDEX idx_alerts_created ON system_alerts (created_at DESC);

-- The ledger: each decision whether to notify a channel of a transition of an alert.
CREATE TABLE notifications (
    id           uuid PRIMARY KEY,          -- UUIDv7, the same for all retries
    alert_id     uuid        NOT NULL,
    channel      text        NOT NULL,
    transition   text        NOT NULL,
    decision     text        NOT NULL,      -- sent, inhibited, silenced, cooldown …
    reason       text        NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL,
    delivered_at timestamptz,
    message_id   uuid,                      -- the message that contained it, possibly with others
    answer       text        NOT NULL DEFAULT '', -- the provider's answer
    revision     bigint      NOT NULL DEFAULT 0,
    state        jsonb                      -- the whole row while it is pending, for a start without a journal
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
    maintenance jsonb                       -- the maintenance window to which it is limited, if any
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

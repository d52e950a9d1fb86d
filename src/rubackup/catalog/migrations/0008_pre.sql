-- API tokens, the event log, and what metrics read.

-- Only a hash of a token is kept. A list that is null narrows nothing; one that is empty allows nothing.
CREATE TABLE api_tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    name text NOT NULL,
    prefix text NOT NULL,
    hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    roles text[] NOT NULL,
    client_group_ids bigint[],
    media_server_ids bigint[],
    strategy_ids bigint[],
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz CHECK (expires_at > created_at),
    last_used_at timestamptz,
    UNIQUE (user_id, name),
    -- a role that covers everything cannot be narrowed
    CHECK (NOT roles && '{superuser,supervisor,auditor}'
           OR (client_group_ids IS NULL AND media_server_ids IS NULL AND strategy_ids IS NULL))
);

ALTER TABLE audit ADD COLUMN token_name text NOT NULL DEFAULT '';

ALTER TABLE events ADD COLUMN strategy_id bigint;

-- Up to where the event log was trimmed: whoever has read less has missed something.
CREATE TABLE event_log (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    trimmed_xid xid8 NOT NULL DEFAULT '0',
    trimmed_id bigint NOT NULL DEFAULT 0
);
INSERT INTO event_log DEFAULT VALUES;

-- How long tasks waited from being made to being handed out first, as a histogram that only grows.
CREATE TABLE queue_waits (
    bucket integer PRIMARY KEY,
    tasks bigint NOT NULL,
    seconds double precision NOT NULL
) WITH (fillfactor = 50);

-- Counting tasks by state and type without reading them, and what the planner knows of both together.
CREATE INDEX task_queue_status_type ON task_queue (status, task_type);
CREATE STATISTICS task_queue_status_type (mcv) ON status, task_type FROM task_queue;

-- Sizes of the copies of a pool without reading the copies.
CREATE INDEX repository_pool_sizes ON repository (pool_id) INCLUDE (size_bytes, stored_bytes);

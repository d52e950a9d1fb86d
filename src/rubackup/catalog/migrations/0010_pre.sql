-- Requests of clients: rules of the global schedule that their users ask for, or ask to have deleted.
-- A row waits for an administrator; once decided it is gone, the audit keeps it. Intervals are text in words
-- that PostgreSQL reads (`1 day`), cron fields are text, null for any, as in global_schedule.

CREATE TABLE new_rule_requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id bigint NOT NULL REFERENCES clients ON DELETE CASCADE,
    requested_by text NOT NULL,  -- user of the client's host
    requested_uid bigint NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    comment text NOT NULL DEFAULT '',
    name text NOT NULL,
    resource_type text NOT NULL,
    resource text NOT NULL,
    backup_type text NOT NULL,
    pool_id bigint REFERENCES pools ON DELETE SET NULL,
    storage_duration text NOT NULL CHECK (storage_duration::interval > interval '0'),
    priority integer NOT NULL CHECK (priority BETWEEN 1 AND 1000),
    crypto text NOT NULL,
    periodic_launch text NOT NULL DEFAULT '' CHECK (periodic_launch = '' OR periodic_launch::interval > interval '0'),
    min text,
    hour text,
    dom text,
    mon text,
    dow text
);
CREATE INDEX new_rule_requests_client ON new_rule_requests (client_id, id);
CREATE INDEX new_rule_requests_pool ON new_rule_requests (pool_id) WHERE pool_id IS NOT NULL;
CREATE INDEX new_rule_requests_at ON new_rule_requests (requested_at, id);

CREATE TABLE delete_rule_requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id bigint NOT NULL REFERENCES clients ON DELETE CASCADE,
    rule_id bigint NOT NULL UNIQUE REFERENCES global_schedule ON DELETE CASCADE,
    requested_by text NOT NULL,
    requested_uid bigint NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    comment text NOT NULL DEFAULT ''
);
CREATE INDEX delete_rule_requests_client ON delete_rule_requests (client_id, id);
CREATE INDEX delete_rule_requests_at ON delete_rule_requests (requested_at, id);

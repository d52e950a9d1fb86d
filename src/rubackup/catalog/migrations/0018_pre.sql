-- The scheduler: when each schedule launches next, what it has launched; rules of client groups.

-- One row for each schedule that runs: a rule, or an enabled leg of a strategy.
CREATE TABLE schedule_launches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin text NOT NULL CHECK (origin IN ('rule', 'strategy')),
    origin_id bigint NOT NULL,  -- no foreign key: the triggers below remove the row with its origin
    leg text NOT NULL,  -- the backup type
    after_at timestamptz NOT NULL,  -- launches up to here are done with
    due_at timestamptz,  -- -infinity: the leader has yet to find out; null: never again
    UNIQUE (origin, origin_id, leg)
);
CREATE INDEX schedule_launches_due ON schedule_launches (due_at) WHERE due_at IS NOT NULL;

-- What was launched. The row is written in the transaction that makes the tasks, so that none is made twice.
CREATE TABLE schedule_ticks (
    origin text NOT NULL,
    origin_id bigint NOT NULL,
    leg text NOT NULL,
    due_at timestamptz NOT NULL,
    at timestamptz NOT NULL,
    epoch bigint NOT NULL,
    PRIMARY KEY (origin, origin_id, leg, due_at)
);
CREATE INDEX schedule_ticks_due ON schedule_ticks (due_at);

CREATE TABLE schedule_state (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    zone text NOT NULL DEFAULT '',  -- that the leader reckons with; empty: none led yet
    ticked_at timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO schedule_state DEFAULT VALUES;

-- Whatever makes, changes, stops, starts or deletes a schedule: its next launch is found anew.
CREATE FUNCTION schedule_rule_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM schedule_launches WHERE origin = 'rule' AND origin_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.status = 'run' THEN
        INSERT INTO schedule_launches (origin, origin_id, leg, after_at, due_at)
        VALUES ('rule', NEW.id, NEW.backup_type, NEW.schedule_since, '-infinity');
    END IF;
    PERFORM pg_notify('schedule', '');
    RETURN NULL;
END $$;
CREATE FUNCTION schedule_strategy_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM schedule_launches WHERE origin = 'strategy' AND origin_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.status = 'run' THEN
        INSERT INTO schedule_launches (origin, origin_id, leg, after_at, due_at)
        SELECT 'strategy', NEW.id, l.leg, NEW.schedule_since, '-infinity'
        FROM (VALUES ('full', NEW.full_archive_enabled), ('incremental', NEW.inc_archive_enabled),
            ('differential', NEW.diff_archive_enabled)) AS l (leg, enabled)
        WHERE l.enabled;
    END IF;
    PERFORM pg_notify('schedule', '');
    RETURN NULL;
END $$;
CREATE TRIGGER schedule_rule_made AFTER INSERT OR DELETE ON global_schedule
    FOR EACH ROW EXECUTE FUNCTION schedule_rule_changed();
CREATE TRIGGER schedule_rule_changed AFTER UPDATE OF status, schedule_since, backup_type ON global_schedule
    FOR EACH ROW WHEN (OLD.status <> NEW.status OR OLD.schedule_since <> NEW.schedule_since
        OR OLD.backup_type <> NEW.backup_type)
    EXECUTE FUNCTION schedule_rule_changed();
CREATE TRIGGER schedule_strategy_made AFTER INSERT OR DELETE ON backup_strategies
    FOR EACH ROW EXECUTE FUNCTION schedule_strategy_changed();
CREATE TRIGGER schedule_strategy_changed AFTER UPDATE OF status, schedule_since ON backup_strategies
    FOR EACH ROW WHEN (OLD.status <> NEW.status OR OLD.schedule_since <> NEW.schedule_since)
    EXECUTE FUNCTION schedule_strategy_changed();

-- Schedules that run already: launches before the scheduler was there are not missed ones.
INSERT INTO schedule_launches (origin, origin_id, leg, after_at, due_at)
SELECT 'rule', s.id, s.backup_type, now(), '-infinity' FROM global_schedule s WHERE s.status = 'run';
INSERT INTO schedule_launches (origin, origin_id, leg, after_at, due_at)
SELECT 'strategy', s.id, l.leg, now(), '-infinity' FROM backup_strategies s
CROSS JOIN LATERAL (VALUES ('full', s.full_archive_enabled), ('incremental', s.inc_archive_enabled),
    ('differential', s.diff_archive_enabled)) AS l (leg, enabled)
WHERE s.status = 'run' AND l.enabled;

-- A rule of a client group backs up every client that is in the group when it launches.
ALTER TABLE global_schedule ALTER COLUMN client_id DROP NOT NULL;
ALTER TABLE global_schedule ADD COLUMN client_group_id bigint REFERENCES client_groups;
ALTER TABLE global_schedule ADD CONSTRAINT global_schedule_whose CHECK (num_nonnulls(client_id, client_group_id) = 1);
CREATE INDEX global_schedule_client_group ON global_schedule (client_group_id) WHERE client_group_id IS NOT NULL;

ALTER TABLE global_schedule_log ALTER COLUMN client_id DROP NOT NULL;  -- null: a line about a rule of a group
ALTER TABLE global_schedule_log DROP CONSTRAINT global_schedule_log_action_check;
ALTER TABLE global_schedule_log ADD CONSTRAINT global_schedule_log_action_check
    CHECK (action IN ('created', 'changed', 'deleted', 'executed', 'status', 'skipped'));
-- Lines about launches, which housekeeping removes when they are old.
CREATE INDEX global_schedule_log_launches ON global_schedule_log (at)
    WHERE user_name = '' AND action IN ('executed', 'skipped');

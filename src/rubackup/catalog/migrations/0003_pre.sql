-- The global schedule: what is backed up when, by which rule.
-- Intervals are text in words that PostgreSQL reads (`1 day`), so that a read gives back what was written.
-- Cron fields are text, null for any. A user group that is null stands for Nobody.

CREATE TABLE global_schedule (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    client_id bigint NOT NULL REFERENCES clients,
    resource_type text NOT NULL,
    resource text NOT NULL,
    backup_type text NOT NULL,
    pool_id bigint NOT NULL REFERENCES pools,
    storage_capacity bigint CHECK (storage_capacity >= 0),  -- gigabytes; 0 and null: no limit
    priority integer NOT NULL DEFAULT 100,
    crypto text NOT NULL DEFAULT 'nocrypt',
    status text NOT NULL DEFAULT 'wait' CHECK (status IN ('wait', 'run')),
    validity_start_period timestamptz,
    validity_end_period timestamptz,
    periodic_launch text CHECK (periodic_launch::interval > interval '0'),
    min text,
    hour text,
    dom text,
    mon text,
    dow text,
    verify_flag boolean NOT NULL DEFAULT false,
    verify_interval text CHECK (verify_interval::interval > interval '0'),
    storage_duration text NOT NULL CHECK (storage_duration::interval > interval '0'),
    move_copy_flag boolean NOT NULL DEFAULT false,
    move_copy_pool_id bigint REFERENCES pools,
    move_copy_while text CHECK (move_copy_while::interval > interval '0'),
    auto_delete_obsoleted_copy_flag boolean NOT NULL DEFAULT false,
    inform_when_obsoleted_copy_group_id bigint REFERENCES user_groups,
    client_delete_flag boolean NOT NULL DEFAULT false,
    notify_normal_group_id bigint REFERENCES user_groups,
    notify_normal_cc text NOT NULL DEFAULT '',
    notify_exception_group_id bigint REFERENCES user_groups,
    notify_exception_cc text NOT NULL DEFAULT '',
    notify_rule_validity_group_id bigint REFERENCES user_groups,
    notify_rule_validity_cc text NOT NULL DEFAULT '',
    notify_verify_group_id bigint REFERENCES user_groups,
    notify_verify_cc text NOT NULL DEFAULT '',
    notify_end_storage_capacity_group_id bigint REFERENCES user_groups,
    notify_end_storage_capacity_cc text NOT NULL DEFAULT '',
    notify_normal_script text NOT NULL DEFAULT '',
    notify_exception_script text NOT NULL DEFAULT '',
    restore_script text NOT NULL DEFAULT '',
    module_parameters jsonb NOT NULL DEFAULT '{}',
    common_parameters jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    schedule_since timestamptz NOT NULL DEFAULT now(),  -- earlier ticks were not missed
    CONSTRAINT global_schedule_validity CHECK (validity_end_period > validity_start_period),
    CONSTRAINT global_schedule_verification CHECK (NOT verify_flag OR verify_interval IS NOT NULL),
    CONSTRAINT global_schedule_moving CHECK (
        NOT move_copy_flag
        OR (move_copy_pool_id IS NOT NULL AND move_copy_while IS NOT NULL AND move_copy_pool_id <> pool_id))
);
CREATE INDEX global_schedule_name ON global_schedule (name, id);
CREATE INDEX global_schedule_client ON global_schedule (client_id, id);
CREATE INDEX global_schedule_pool ON global_schedule (pool_id, id);
CREATE INDEX global_schedule_move_copy_pool ON global_schedule (move_copy_pool_id, id);
CREATE INDEX global_schedule_validity_end ON global_schedule (validity_end_period, id);
CREATE INDEX global_schedule_running ON global_schedule (id) WHERE status = 'run';

-- What was done to rules and by them. No foreign keys: a line survives its rule, its client and its task.
CREATE TABLE global_schedule_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    rule_id bigint NOT NULL,
    rule_name text NOT NULL,
    client_id bigint NOT NULL,
    client text NOT NULL,  -- hostname (hwid), as it was called then
    client_group_id bigint NOT NULL,
    task_id bigint,
    user_name text NOT NULL DEFAULT '',  -- empty for the system
    action text NOT NULL CHECK (action IN ('created', 'changed', 'deleted', 'executed', 'status')),
    text text NOT NULL DEFAULT ''
);
CREATE INDEX global_schedule_log_rule ON global_schedule_log (rule_id, id);
CREATE INDEX global_schedule_log_client ON global_schedule_log (client_id, id);
CREATE INDEX global_schedule_log_task ON global_schedule_log (task_id, id);

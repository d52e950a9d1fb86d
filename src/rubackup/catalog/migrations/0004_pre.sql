-- Strategies, reports, notifications, the disaster recovery plan.
-- Cron fields are text, null for any. Intervals are text as it was written ('' for none): what PostgreSQL reads.

CREATE TABLE backup_strategies (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    status text NOT NULL DEFAULT 'wait' CHECK (status IN ('wait', 'run')),
    pool_id bigint NOT NULL REFERENCES pools,
    crypto text NOT NULL DEFAULT 'nocrypt',
    storage_capacity bigint NOT NULL DEFAULT 0 CHECK (storage_capacity >= 0),
    description text NOT NULL DEFAULT '',
    validity_start_period timestamptz,
    validity_end_period timestamptz,
    verify_flag boolean NOT NULL DEFAULT false,
    verify_interval text NOT NULL DEFAULT '',
    auto_delete_obsoleted_copy_flag boolean NOT NULL DEFAULT false,
    inform_when_obsoleted_copy_group_id bigint NOT NULL REFERENCES user_groups,
    client_delete_flag boolean NOT NULL DEFAULT false,

    full_archive_enabled boolean NOT NULL DEFAULT false,
    full_periodic_launch text NOT NULL DEFAULT '',
    full_storage_duration text NOT NULL DEFAULT '',
    full_min text, full_hour text, full_dom text, full_mon text, full_dow text,
    full_move_copy_flag boolean NOT NULL DEFAULT false,
    full_move_copy_while text NOT NULL DEFAULT '',
    full_move_copy_pool_id bigint REFERENCES pools,

    inc_archive_enabled boolean NOT NULL DEFAULT false,
    inc_periodic_launch text NOT NULL DEFAULT '',
    inc_storage_duration text NOT NULL DEFAULT '',
    inc_min text, inc_hour text, inc_dom text, inc_mon text, inc_dow text,
    inc_move_copy_flag boolean NOT NULL DEFAULT false,
    inc_move_copy_while text NOT NULL DEFAULT '',
    inc_move_copy_pool_id bigint REFERENCES pools,

    diff_archive_enabled boolean NOT NULL DEFAULT false,
    diff_periodic_launch text NOT NULL DEFAULT '',
    diff_storage_duration text NOT NULL DEFAULT '',
    diff_min text, diff_hour text, diff_dom text, diff_mon text, diff_dow text,
    diff_move_copy_flag boolean NOT NULL DEFAULT false,
    diff_move_copy_while text NOT NULL DEFAULT '',
    diff_move_copy_pool_id bigint REFERENCES pools,

    notify_normal_group_id bigint NOT NULL REFERENCES user_groups,
    notify_normal_cc text NOT NULL DEFAULT '',
    notify_exception_group_id bigint NOT NULL REFERENCES user_groups,
    notify_exception_cc text NOT NULL DEFAULT '',
    notify_verify_group_id bigint NOT NULL REFERENCES user_groups,
    notify_verify_cc text NOT NULL DEFAULT '',
    notify_strategy_validity_group_id bigint NOT NULL REFERENCES user_groups,
    notify_strategy_validity_cc text NOT NULL DEFAULT '',
    notify_end_storage_capacity_group_id bigint NOT NULL REFERENCES user_groups,
    notify_end_storage_capacity_cc text NOT NULL DEFAULT '',

    created_at timestamptz NOT NULL DEFAULT now(),
    schedule_since timestamptz NOT NULL DEFAULT now(),  -- ticks before it are not missed ticks

    CHECK (validity_end_period > validity_start_period),
    CHECK (NOT verify_flag OR verify_interval <> ''),
    CHECK (NOT full_archive_enabled OR full_storage_duration <> ''),
    CHECK (NOT inc_archive_enabled OR inc_storage_duration <> ''),
    CHECK (NOT diff_archive_enabled OR diff_storage_duration <> ''),
    CHECK (NOT full_move_copy_flag OR (full_move_copy_while <> '' AND full_move_copy_pool_id IS NOT NULL)),
    CHECK (NOT inc_move_copy_flag OR (inc_move_copy_while <> '' AND inc_move_copy_pool_id IS NOT NULL)),
    CHECK (NOT diff_move_copy_flag OR (diff_move_copy_while <> '' AND diff_move_copy_pool_id IS NOT NULL))
);
CREATE INDEX backup_strategies_pool ON backup_strategies (pool_id);
CREATE INDEX backup_strategies_status ON backup_strategies (status, id);
CREATE INDEX backup_strategies_end ON backup_strategies (validity_end_period) WHERE validity_end_period IS NOT NULL;

CREATE TABLE strategy_rules (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    strategy_id bigint NOT NULL REFERENCES backup_strategies,
    client_id bigint NOT NULL REFERENCES clients ON DELETE CASCADE,
    resource_type text NOT NULL,
    resource text NOT NULL,
    priority integer NOT NULL DEFAULT 100,
    normal_execution_script text NOT NULL DEFAULT '',
    exception_execution_script text NOT NULL DEFAULT '',
    restore_script text NOT NULL DEFAULT '',
    module_parameters jsonb NOT NULL DEFAULT '{}',
    common_parameters jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
-- by its hash: a resource may be longer than an index takes
CREATE UNIQUE INDEX strategy_rules_once ON strategy_rules (strategy_id, client_id, resource_type, md5(resource));
CREATE INDEX strategy_rules_client ON strategy_rules (client_id, strategy_id);

CREATE TABLE strategy_administrators (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    strategy_id bigint NOT NULL REFERENCES backup_strategies,
    UNIQUE (user_id, strategy_id)
);
CREATE INDEX strategy_administrators_strategy ON strategy_administrators (strategy_id);

CREATE TABLE reports (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    owner_group_id bigint NOT NULL REFERENCES user_groups,
    min text, hour text, dom text, mon text, dow text,
    perpetually boolean NOT NULL DEFAULT false,
    start_period timestamptz,
    end_period timestamptz,
    status text NOT NULL DEFAULT 'wait' CHECK (status IN ('wait', 'run')),
    notify_group_id bigint NOT NULL REFERENCES user_groups,
    notify_cc text NOT NULL DEFAULT '',
    description text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    schedule_since timestamptz NOT NULL DEFAULT now(),
    CHECK (perpetually OR end_period IS NOT NULL),
    CHECK (perpetually OR start_period IS NULL OR end_period > start_period)
);
CREATE INDEX reports_status ON reports (status, id);

-- What users are told. Rows outlive the task, the hosts and the strategy that they speak of; no foreign keys to these,
-- so that a task that ends never waits for a host that is just being deleted.
CREATE TABLE notifications (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,  -- normal, exception, verify
    status text NOT NULL DEFAULT 'New',
    user_group_id bigint REFERENCES user_groups ON DELETE SET NULL,
    cc text NOT NULL DEFAULT '',
    subject text NOT NULL,
    text text NOT NULL,
    task_id bigint,
    client text NOT NULL DEFAULT '',  -- 'hostname (hwid)'
    client_id bigint,
    client_group_id bigint,
    media_server_id bigint,
    rule_id bigint,
    strategy_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT notifications_once UNIQUE (task_id, kind)
);
CREATE INDEX notifications_status ON notifications (status, id);
CREATE INDEX notifications_created ON notifications (created_at, id);
CREATE INDEX notifications_group ON notifications (user_group_id, id);
CREATE INDEX notifications_client ON notifications (client_id, id);
CREATE INDEX notifications_client_group ON notifications (client_group_id, id);
CREATE INDEX notifications_media ON notifications (media_server_id, id);
CREATE INDEX notifications_strategy ON notifications (strategy_id, id) WHERE strategy_id IS NOT NULL;
CREATE INDEX notifications_rule ON notifications (rule_id, id) WHERE rule_id IS NOT NULL;

-- The plan outlives its clients: a replaced machine comes back under the hardware id.
CREATE TABLE disaster_recovery_plan (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id bigint REFERENCES clients ON DELETE SET NULL,
    client_hostname text NOT NULL,
    client_hwid text NOT NULL,
    client_group_id bigint REFERENCES client_groups ON DELETE SET NULL,
    resource_type text NOT NULL,
    resource text NOT NULL DEFAULT '',  -- '': every resource of the type
    restore_destination text NOT NULL DEFAULT '',  -- '': in place
    autorun boolean NOT NULL DEFAULT false,
    priority integer NOT NULL DEFAULT 100,
    description text NOT NULL DEFAULT '',
    status text NOT NULL DEFAULT 'Not checked',
    checked_at timestamptz,
    problem text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX disaster_recovery_plan_client ON disaster_recovery_plan (client_id, id);
CREATE INDEX disaster_recovery_plan_hwid ON disaster_recovery_plan (client_hwid) WHERE client_id IS NULL;
CREATE INDEX disaster_recovery_plan_group ON disaster_recovery_plan (client_group_id, id);

-- Retention: what rules and strategies keep beside a duration, second copies, and what was done with a copy already.

ALTER TABLE global_schedule
    ADD COLUMN keep_last integer NOT NULL DEFAULT 0 CHECK (keep_last >= 0),
    ADD COLUMN keep_daily integer NOT NULL DEFAULT 0 CHECK (keep_daily >= 0),
    ADD COLUMN keep_weekly integer NOT NULL DEFAULT 0 CHECK (keep_weekly >= 0),
    ADD COLUMN keep_monthly integer NOT NULL DEFAULT 0 CHECK (keep_monthly >= 0),
    ADD COLUMN keep_yearly integer NOT NULL DEFAULT 0 CHECK (keep_yearly >= 0),
    ADD COLUMN second_copy_flag boolean NOT NULL DEFAULT false,
    ADD COLUMN second_copy_pool_id bigint REFERENCES pools,
    ADD COLUMN second_copy_while text CHECK (second_copy_while::interval > interval '0'),  -- null: at once
    ADD COLUMN second_copy_duration text CHECK (second_copy_duration::interval > interval '0'),
    ADD COLUMN capacity_told_at timestamptz,  -- when somebody was told last that storage_capacity comes to its end
    ADD CONSTRAINT global_schedule_second_copy CHECK (
        NOT second_copy_flag OR (
            second_copy_pool_id IS NOT NULL AND second_copy_duration IS NOT NULL AND second_copy_pool_id <> pool_id));

ALTER TABLE backup_strategies
    ADD COLUMN keep_last integer NOT NULL DEFAULT 0 CHECK (keep_last >= 0),
    ADD COLUMN keep_daily integer NOT NULL DEFAULT 0 CHECK (keep_daily >= 0),
    ADD COLUMN keep_weekly integer NOT NULL DEFAULT 0 CHECK (keep_weekly >= 0),
    ADD COLUMN keep_monthly integer NOT NULL DEFAULT 0 CHECK (keep_monthly >= 0),
    ADD COLUMN keep_yearly integer NOT NULL DEFAULT 0 CHECK (keep_yearly >= 0),
    ADD COLUMN capacity_told_at timestamptz,
    ADD COLUMN full_second_copy_flag boolean NOT NULL DEFAULT false,
    ADD COLUMN full_second_copy_while text NOT NULL DEFAULT '',
    ADD COLUMN full_second_copy_pool_id bigint REFERENCES pools,
    ADD COLUMN full_second_copy_duration text NOT NULL DEFAULT '',
    ADD CHECK (NOT full_second_copy_flag OR (full_second_copy_pool_id IS NOT NULL AND full_second_copy_duration <> '')),
    ADD COLUMN inc_second_copy_flag boolean NOT NULL DEFAULT false,
    ADD COLUMN inc_second_copy_while text NOT NULL DEFAULT '',
    ADD COLUMN inc_second_copy_pool_id bigint REFERENCES pools,
    ADD COLUMN inc_second_copy_duration text NOT NULL DEFAULT '',
    ADD CHECK (NOT inc_second_copy_flag OR (inc_second_copy_pool_id IS NOT NULL AND inc_second_copy_duration <> '')),
    ADD COLUMN diff_second_copy_flag boolean NOT NULL DEFAULT false,
    ADD COLUMN diff_second_copy_while text NOT NULL DEFAULT '',
    ADD COLUMN diff_second_copy_pool_id bigint REFERENCES pools,
    ADD COLUMN diff_second_copy_duration text NOT NULL DEFAULT '',
    ADD CHECK (NOT diff_second_copy_flag OR (diff_second_copy_pool_id IS NOT NULL AND diff_second_copy_duration <> ''));

ALTER TABLE repository
    ADD COLUMN secondary boolean NOT NULL DEFAULT false,  -- made beside another copy, not in its place
    ADD COLUMN informed_at timestamptz,  -- when somebody was told that its time is over
    ADD COLUMN second_copied_at timestamptz,  -- when the second copy was made that its rule asks for
    ADD COLUMN verify_queued_at timestamptz,  -- when its rule had it verified last
    ADD COLUMN retention_task bigint,  -- the last task that retention queued for it
    ADD COLUMN retention_tried_at timestamptz;  -- when that was, or when it was kept from it

-- Copies that were copied by hand stand beside another one.
UPDATE repository r SET secondary = true FROM repository s WHERE r.copied_from = s.id;

CREATE TABLE retention_state (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seen_at timestamptz,       -- the catalogue's clock at the last run
    suspended_at timestamptz,  -- null: retention acts
    reason text NOT NULL DEFAULT '',
    resumes_at timestamptz     -- null while suspended: when an administrator says so
);
INSERT INTO retention_state DEFAULT VALUES;

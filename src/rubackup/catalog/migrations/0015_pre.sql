-- Where backups go: the pool that was asked for beside the one that takes its place, the dynamic pool group that chooses, pools that
-- failed the task. What is lost with folders that are away. The emergency storage of pools.

ALTER TABLE task_queue ADD COLUMN wanted_pool_id bigint REFERENCES pools ON DELETE SET NULL;  -- null: pool_id is the one
ALTER TABLE task_queue ADD COLUMN pool_group_id bigint REFERENCES dynamic_pool_groups ON DELETE SET NULL;
ALTER TABLE task_queue ADD COLUMN pools_failed bigint[] NOT NULL DEFAULT '{}';
CREATE INDEX task_queue_wanted_pool ON task_queue (wanted_pool_id) WHERE wanted_pool_id IS NOT NULL;
CREATE INDEX task_queue_pool_group ON task_queue (pool_group_id) WHERE pool_group_id IS NOT NULL;

ALTER TABLE global_schedule ADD COLUMN pool_group_id bigint REFERENCES dynamic_pool_groups;  -- null: pool_id is the one
CREATE INDEX global_schedule_pool_group ON global_schedule (pool_group_id) WHERE pool_group_id IS NOT NULL;

ALTER TABLE repository ADD COLUMN unavailable text NOT NULL DEFAULT '';  -- folders that are away and that it needs
CREATE INDEX repository_unavailable ON repository (pool_id) WHERE unavailable <> '';

ALTER TABLE pool_state ADD COLUMN away text[] NOT NULL DEFAULT '{}';  -- folders that are away, as last reported
ALTER TABLE pool_state ADD COLUMN away_marked text[] NOT NULL DEFAULT '{}';  -- as far as `repository.unavailable` knows
ALTER TABLE pool_state ADD COLUMN away_marked_at timestamptz;
ALTER TABLE pool_state ADD COLUMN emergency_path text NOT NULL DEFAULT '';  -- empty: none is in use
ALTER TABLE pool_state ADD COLUMN emergency_problem text NOT NULL DEFAULT '';
ALTER TABLE pool_state ADD COLUMN emergency_free_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE pool_state ADD COLUMN emergency_used_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE pool_state ADD COLUMN emergency_total_bytes bigint NOT NULL DEFAULT 0;

-- How many tasks hosts and pools take at a time, limits of bandwidth of rules, launches of tasks that came to nothing.

ALTER TABLE client_presence ADD COLUMN tasks_taken integer;    -- as the host says; null: it has not said
ALTER TABLE media_presence ADD COLUMN tasks_taken integer;
ALTER TABLE media_presence ADD COLUMN sessions_taken integer;
ALTER TABLE clients ADD COLUMN max_tasks integer NOT NULL DEFAULT 0 CHECK (max_tasks >= 0);  -- 0: as many as it takes
ALTER TABLE media_servers ADD COLUMN max_tasks integer NOT NULL DEFAULT 0 CHECK (max_tasks >= 0);
ALTER TABLE pools ADD COLUMN max_tasks integer NOT NULL DEFAULT 0 CHECK (max_tasks >= 0);

ALTER TABLE task_queue ADD COLUMN launches_failed integer NOT NULL DEFAULT 0;  -- on the present client, in a row
CREATE INDEX task_queue_held_clients ON task_queue (client_id, executor)
    WHERE status IN ('Assigned', 'At_Client', 'Execution', 'Transmission');
CREATE INDEX task_queue_held_pools ON task_queue (media_server_id, pool_id, executor)
    WHERE status IN ('Assigned', 'At_Client', 'Execution', 'Transmission');

CREATE TABLE rule_bandwidth (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule_id bigint NOT NULL REFERENCES global_schedule ON DELETE CASCADE,
    backup_bandwidth bigint NOT NULL DEFAULT 0 CHECK (backup_bandwidth >= 0),    -- KiB/s, 0: no limit
    restore_bandwidth bigint NOT NULL DEFAULT 0 CHECK (restore_bandwidth >= 0),  -- KiB/s, 0: no limit
    window_start time NOT NULL DEFAULT '00:00',  -- local time; equal to the end: all day
    window_end time NOT NULL DEFAULT '00:00'
);
CREATE INDEX rule_bandwidth_rule ON rule_bandwidth (rule_id, id);

-- Indexes that lists sort and filter by at a million rows; which and why: docs/performance.md. What changes while a task
-- runs (progress, heartbeats) lies in task_progress and is not indexed. Each ends with the id, as every order does.

CREATE INDEX task_queue_priority ON task_queue (priority, id);
CREATE INDEX task_queue_type ON task_queue (task_type, id);
CREATE INDEX task_queue_resource ON task_queue (resource, id);
CREATE INDEX task_queue_resource_type ON task_queue (resource_type, id);
CREATE INDEX task_queue_backup_type ON task_queue (backup_type, id);
CREATE INDEX task_queue_archiving ON task_queue (archiving, id);
CREATE INDEX task_queue_created_by ON task_queue (created_by, id);
CREATE INDEX task_queue_started ON task_queue (started_at, id);
DROP INDEX task_queue_finished;
CREATE INDEX task_queue_finished ON task_queue (finished_at, id);

CREATE INDEX repository_resource ON repository (resource, id);
CREATE INDEX repository_resource_type ON repository (resource_type, id);
CREATE INDEX repository_backup_type ON repository (backup_type, id);
CREATE INDEX repository_task ON repository (task_id, id);
CREATE INDEX repository_size ON repository (size_bytes, id);
CREATE INDEX repository_stored ON repository (stored_bytes, id);
CREATE INDEX repository_files ON repository (files, id);
CREATE INDEX repository_store_until ON repository (store_until, id);
CREATE INDEX repository_verification ON repository (verification_status, id);

CREATE INDEX clients_in_group ON clients (group_id, hostname, id);
DROP INDEX clients_group;

CREATE INDEX task_log_at ON task_log (at, id);
CREATE INDEX repository_log_at ON repository_log (at, id);

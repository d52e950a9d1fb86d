-- Where tasks and copies come from: a rule of the global schedule, or a rule of a strategy.
-- No foreign keys: a copy keeps the number of its rule when the rule is deleted.

ALTER TABLE task_queue ADD COLUMN rule_id bigint, ADD COLUMN strategy_id bigint, ADD COLUMN strategy_rule_id bigint;
CREATE INDEX task_queue_rule ON task_queue (rule_id, id) WHERE rule_id IS NOT NULL;
CREATE INDEX task_queue_strategy ON task_queue (strategy_id, id) WHERE strategy_id IS NOT NULL;

ALTER TABLE repository ADD COLUMN rule_id bigint, ADD COLUMN strategy_id bigint, ADD COLUMN strategy_rule_id bigint;
CREATE INDEX repository_rule ON repository (rule_id, id) WHERE rule_id IS NOT NULL;
CREATE INDEX repository_strategy ON repository (strategy_id, id) WHERE strategy_id IS NOT NULL;

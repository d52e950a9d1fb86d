-- Pools of every type.
SELECT 1;

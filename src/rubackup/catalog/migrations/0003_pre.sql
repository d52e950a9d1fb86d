-- The global schedule.
SELECT 1;

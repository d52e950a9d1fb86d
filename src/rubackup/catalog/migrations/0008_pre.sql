-- API tokens and the event log.
SELECT 1;

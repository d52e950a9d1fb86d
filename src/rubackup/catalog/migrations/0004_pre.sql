-- Strategies, reports, notifications, the disaster recovery plan.
SELECT 1;

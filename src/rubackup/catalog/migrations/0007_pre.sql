-- Logs of hosts, monitoring, bandwidth.
SELECT 1;

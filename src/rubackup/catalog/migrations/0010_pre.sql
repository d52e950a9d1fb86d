-- Requests of clients.
SELECT 1;

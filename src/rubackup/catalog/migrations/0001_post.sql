-- Nothing to clean up: no older code ran beside the first schema.
SELECT 1;

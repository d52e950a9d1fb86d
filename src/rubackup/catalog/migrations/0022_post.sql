-- Nothing to clean up: the pre file only adds.
SELECT 1;

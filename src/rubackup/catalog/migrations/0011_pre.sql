-- Indexes of lists.
SELECT 1;

-- Copies that are copied, moved and kept.
SELECT 1;

-- Tape libraries.
SELECT 1;

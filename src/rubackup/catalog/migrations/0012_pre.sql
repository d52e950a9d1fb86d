-- Encrypted copies. A copy tells which key of its client opens it (32 hex digits, '' in clear); a client tells, when it comes
-- online, which ciphers it can run and which keys it holds, the current one first.

ALTER TABLE repository ADD COLUMN key_id text NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN ciphers text[] NOT NULL DEFAULT '{}';
ALTER TABLE clients ADD COLUMN key_ids text[] NOT NULL DEFAULT '{}';

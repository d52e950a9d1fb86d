-- Hosts of the API alone: under which name each was enrolled, with which certificate, and with which role in PostgreSQL.

CREATE TABLE api_hosts (
    name text PRIMARY KEY,            -- its APP_HOST
    hwid text NOT NULL UNIQUE,
    database_role text NOT NULL,
    certificate_serial text NOT NULL, -- the last that was signed for it
    certificate_not_after timestamptz NOT NULL,
    enrolled_at timestamptz NOT NULL DEFAULT now()
);

-- Cleanings of pools: when one was last queued and last done, by kind ('blocks': space of deleted copies, 'storages': folders).
-- Terms of leadership: a random name for each take-over, by which media servers notice that the catalogue was set back.

CREATE TABLE pool_cleanings (
    pool_id bigint NOT NULL REFERENCES pools ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('blocks', 'storages')),
    queued_at timestamptz NOT NULL,
    done_at timestamptz,
    PRIMARY KEY (pool_id, kind)
);

CREATE TABLE leadership_terms (
    epoch bigint PRIMARY KEY,
    term uuid NOT NULL DEFAULT gen_random_uuid()
);

-- `reconciled`: as its media server says; `reconcile_wanted`: an administrator has reconciled, the media server must hear of it.
ALTER TABLE pool_state ADD COLUMN reconciled boolean NOT NULL DEFAULT true;
ALTER TABLE pool_state ADD COLUMN reconcile_wanted boolean NOT NULL DEFAULT false;

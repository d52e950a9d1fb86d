-- Copies that are copied, moved and kept.

ALTER TABLE repository
    ADD COLUMN copied_from bigint,         -- id of the copy that this one was copied or moved from; no key: a moved one is gone
    ADD COLUMN copied_from_uuid uuid,
    ADD COLUMN chain_broken boolean NOT NULL DEFAULT false,  -- a copy that it builds on was deleted
    ADD COLUMN pool_locked_until timestamptz;                -- the lock that the pool has been told
CREATE INDEX repository_copied ON repository (pool_id, copied_from_uuid) WHERE copied_from_uuid IS NOT NULL;
CREATE INDEX repository_copied_from ON repository (copied_from, id) WHERE copied_from IS NOT NULL;
CREATE INDEX repository_broken ON repository (id) WHERE chain_broken;
CREATE INDEX repository_strategy_rule ON repository (strategy_rule_id, id) WHERE strategy_rule_id IS NOT NULL;
CREATE INDEX repository_lock_untold ON repository (pool_id)
    WHERE locked_until IS NOT NULL AND locked_until IS DISTINCT FROM pool_locked_until;

-- The key with which a server signs certificates: SHA-256 of its public part (DER), hex; '' while it has not said.
ALTER TABLE servers ADD COLUMN issuing_key_hash text NOT NULL DEFAULT '';

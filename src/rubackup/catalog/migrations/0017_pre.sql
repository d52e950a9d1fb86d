-- Client defined pools: which storages clients have folders for, how these are, and whose copies are to be forgotten there.

ALTER TABLE clients ADD COLUMN storages text[] NOT NULL DEFAULT '{}';  -- names, as the client told them last

CREATE TABLE client_defined_storage_state (
    storage_id bigint NOT NULL REFERENCES client_defined_storages ON DELETE CASCADE,
    client_id bigint NOT NULL REFERENCES clients ON DELETE CASCADE,
    problem text NOT NULL,
    free_bytes bigint NOT NULL,
    used_bytes bigint NOT NULL,
    total_bytes bigint NOT NULL,
    reported_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (storage_id, client_id)
);
CREATE INDEX client_defined_storage_state_client ON client_defined_storage_state (client_id);

ALTER TABLE record_tombstones ADD COLUMN client_hwid text NOT NULL DEFAULT '';  -- of the client whose own pool has to forget it
ALTER TABLE record_tombstones ADD COLUMN manifest_gone boolean NOT NULL DEFAULT false;  -- that a media server kept for the client

-- pools of this type have a state from now on, as those that media servers serve
INSERT INTO pool_state (pool_id)
SELECT id FROM pools WHERE pool_type = 'Client defined'
ON CONFLICT DO NOTHING;

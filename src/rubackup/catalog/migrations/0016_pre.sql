-- Devices and buckets that pools are written to: which device it is, what the bucket can do, how both are.

ALTER TABLE storage_block_devices ADD COLUMN uuid uuid;  -- of its superblock; null: never made ready

ALTER TABLE storage_clouds ADD COLUMN notes text NOT NULL DEFAULT '';  -- what the media server's probe said
ALTER TABLE storage_clouds ADD COLUMN conditional_writes boolean NOT NULL DEFAULT false;
ALTER TABLE storage_clouds ADD COLUMN conditional_parts boolean NOT NULL DEFAULT false;
ALTER TABLE storage_clouds ADD COLUMN versioning boolean NOT NULL DEFAULT false;
ALTER TABLE storage_clouds ADD COLUMN lockable boolean NOT NULL DEFAULT false;
ALTER TABLE storage_clouds ADD COLUMN clock_ahead_seconds double precision NOT NULL DEFAULT 0;
ALTER TABLE storage_clouds ADD COLUMN probed_at timestamptz;

CREATE TABLE storage_block_device_state (
    storage_id bigint PRIMARY KEY REFERENCES storage_block_devices ON DELETE CASCADE,
    problem text NOT NULL,
    free_bytes bigint NOT NULL,
    used_bytes bigint NOT NULL,
    total_bytes bigint NOT NULL,
    reported_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE storage_cloud_state (
    storage_id bigint PRIMARY KEY REFERENCES storage_clouds ON DELETE CASCADE,
    problem text NOT NULL,
    free_bytes bigint NOT NULL,
    used_bytes bigint NOT NULL,
    total_bytes bigint NOT NULL,
    reported_at timestamptz NOT NULL DEFAULT now()
);

-- pools of these types have a state from now on, as those of folders
INSERT INTO pool_state (pool_id)
SELECT id FROM pools WHERE pool_type IN ('Block device', 'Cloud')
ON CONFLICT DO NOTHING;

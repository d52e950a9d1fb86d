-- Pools of every type, their storages, substitutions and dynamic groups.

-- What a pool of the type Block device has, and no other: all four or none.
ALTER TABLE pools
    ADD COLUMN algorithm text,
    ADD COLUMN hash_length integer,
    ADD COLUMN block_size integer,
    ADD COLUMN meta_data_pool_id bigint REFERENCES pools,
    ADD CONSTRAINT pools_blocks CHECK (
        num_nulls(algorithm, hash_length, block_size, meta_data_pool_id) = 4
        OR pool_type = 'Block device' AND num_nulls(algorithm, hash_length, block_size, meta_data_pool_id) = 0
    );
CREATE INDEX pools_meta_data_pool ON pools (meta_data_pool_id) WHERE meta_data_pool_id IS NOT NULL;
CREATE INDEX clients_ls_pool ON clients (ls_pool_id) WHERE ls_pool_id IS NOT NULL;

-- how full each folder is, as its media server reports it
CREATE TABLE storage_state (
    storage_id bigint PRIMARY KEY REFERENCES storage_local_catalogs ON DELETE CASCADE,
    problem text NOT NULL,
    free_bytes bigint NOT NULL,
    used_bytes bigint NOT NULL,
    total_bytes bigint NOT NULL,
    reported_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE storage_block_devices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device text NOT NULL,
    real_path text NOT NULL,  -- where `device` led when it was added
    disk text NOT NULL,  -- the disk that it is a partition of, the file behind a loop device, else real_path
    pool_id bigint NOT NULL REFERENCES pools,
    media_server_id bigint NOT NULL REFERENCES media_servers,
    kind text NOT NULL,  -- block device, file
    size_bytes bigint NOT NULL,
    signature text NOT NULL,  -- what was found on it when it was added
    overwrite_file_system boolean NOT NULL,
    parallel_workers integer NOT NULL DEFAULT 1,
    description text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (media_server_id, device),
    UNIQUE (media_server_id, real_path)
);
CREATE INDEX storage_block_devices_pool ON storage_block_devices (pool_id);
CREATE INDEX storage_block_devices_disk ON storage_block_devices (media_server_id, disk);

CREATE TABLE client_defined_storages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    pool_id bigint NOT NULL REFERENCES pools,
    metadata_fs_pool_id bigint NOT NULL REFERENCES pools,
    description text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (pool_id, name)
);
CREATE INDEX client_defined_storages_metadata ON client_defined_storages (metadata_fs_pool_id);

CREATE TABLE storage_clouds (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    pool_id bigint NOT NULL REFERENCES pools,
    endpoint text NOT NULL,
    region text NOT NULL DEFAULT '',
    bucket text NOT NULL,
    prefix text NOT NULL DEFAULT '',
    access_key text NOT NULL,
    secret_sealed bytea NOT NULL,  -- readable by the media server alone (domain.sealing)
    secret_fingerprint text NOT NULL,  -- of the key that it is sealed for
    ca_file text NOT NULL DEFAULT '',
    object_lock text NOT NULL DEFAULT 'none',
    description text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (pool_id, name)
);
CREATE INDEX storage_clouds_bucket ON storage_clouds (endpoint, bucket);

CREATE TABLE pool_substitutions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pool_id bigint NOT NULL REFERENCES pools,
    substitution_id bigint NOT NULL REFERENCES pools,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (pool_id, substitution_id),
    CHECK (pool_id <> substitution_id)
);
CREATE INDEX pool_substitutions_substitution ON pool_substitutions (substitution_id);

CREATE TABLE dynamic_pool_groups (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    max_pool_tasks integer NOT NULL,
    max_media_server_tasks integer NOT NULL,
    max_cpu_usage integer NOT NULL,
    max_in_block_operations bigint NOT NULL,
    max_out_block_operations bigint NOT NULL,
    calculation_period integer NOT NULL,
    description text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE dynamic_pool_groups_records (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    group_id bigint NOT NULL REFERENCES dynamic_pool_groups,
    pool_id bigint NOT NULL REFERENCES pools,
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (group_id, pool_id)
);
CREATE INDEX dynamic_pool_groups_records_pool ON dynamic_pool_groups_records (pool_id);

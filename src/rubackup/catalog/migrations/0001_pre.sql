-- The spine's catalogue. Instants are timestamptz, sizes bytes, states the labels of domain.lookups.
-- What changes often (presence, progress, leases) lies in side tables, so that the rows that lists read stay put.

-- --- users, roles, sessions ---

CREATE TABLE user_groups (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    description text NOT NULL DEFAULT ''
);
INSERT INTO user_groups (name, description) VALUES ('Nobody', 'No notifications');

CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    fullname text NOT NULL DEFAULT '',
    address text NOT NULL DEFAULT '',
    tel text NOT NULL DEFAULT '',
    office text NOT NULL DEFAULT '',
    email text NOT NULL DEFAULT '',
    group_id bigint NOT NULL REFERENCES user_groups,
    is_superuser boolean NOT NULL DEFAULT false,
    last_success_login_at timestamptz,
    last_fail_login_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE token_families (
    family text PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    started_at timestamptz NOT NULL DEFAULT now(),
    ends_at timestamptz NOT NULL,
    revoked_at timestamptz,
    refresh_jti text NOT NULL,
    previous_jti text,
    rotated_at timestamptz,
    pair jsonb NOT NULL  -- claims of the pair in force: the same tokens can be made again
);
CREATE INDEX token_families_user ON token_families (user_id);
CREATE INDEX token_families_ends ON token_families (ends_at);

CREATE TABLE login_failures (
    name text NOT NULL,
    network text NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    last_failed_at timestamptz NOT NULL DEFAULT now(),
    blocked_until timestamptz,
    PRIMARY KEY (name, network)
);

-- answers to calls that came with an Idempotency-Key, stored with their effect
CREATE TABLE idempotency_keys (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    method text NOT NULL,
    path text NOT NULL,
    key text NOT NULL,
    body_hash text NOT NULL,
    status integer NOT NULL,
    body bytea NOT NULL,
    location text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, method, path, key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

-- --- clients ---

CREATE TABLE client_groups (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    shared boolean NOT NULL DEFAULT false,
    clustered boolean NOT NULL DEFAULT false,
    description text NOT NULL DEFAULT '',
    launch_attempts_limit integer NOT NULL DEFAULT 1
);
INSERT INTO client_groups (name, description) VALUES ('No group', 'Clients that belong to no group');

CREATE TABLE clients (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hwid text NOT NULL UNIQUE,
    hostname text NOT NULL,
    group_id bigint NOT NULL REFERENCES client_groups,
    description text NOT NULL DEFAULT '',
    os_type text NOT NULL DEFAULT 'Linux',
    os_version text NOT NULL DEFAULT '',
    package_version text NOT NULL DEFAULT '',
    resource_types text[] NOT NULL DEFAULT '{}',
    lsf_flag boolean NOT NULL DEFAULT false,
    ls_pool_id bigint,
    lrl_flag boolean NOT NULL DEFAULT false,
    storage_capacity bigint NOT NULL DEFAULT 0,
    centralized_restore boolean NOT NULL DEFAULT true,
    client_side_backup boolean NOT NULL DEFAULT true,
    client_side_restore boolean NOT NULL DEFAULT true,
    csr_pem bytea NOT NULL,
    fingerprint text NOT NULL,
    certificate_serial text,
    certificate_not_after timestamptz,
    authorised_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX clients_group ON clients (group_id);
CREATE INDEX clients_hostname ON clients (hostname, id);

CREATE TABLE client_presence (
    client_id bigint PRIMARY KEY REFERENCES clients ON DELETE CASCADE,
    online boolean NOT NULL DEFAULT false,
    server_hwid text NOT NULL DEFAULT '',
    last_online timestamptz
);

CREATE TABLE unauthorised_clients (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hwid text NOT NULL,
    hostname text NOT NULL,
    address text NOT NULL DEFAULT '',
    os_type text NOT NULL DEFAULT 'Linux',
    os_version text NOT NULL DEFAULT '',
    package_version text NOT NULL DEFAULT '',
    csr_pem bytea NOT NULL,
    fingerprint text NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (hwid, fingerprint)
);

-- --- servers and media servers ---

CREATE TABLE servers (
    hwid text PRIMARY KEY,
    hostname text NOT NULL,
    package_version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE leadership (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL DEFAULT 0,
    server_hwid text NOT NULL DEFAULT '',
    taken_at timestamptz
);
INSERT INTO leadership DEFAULT VALUES;

CREATE TABLE media_servers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hwid text NOT NULL UNIQUE,
    hostname text NOT NULL UNIQUE,
    description text NOT NULL DEFAULT '',
    local_service_mode boolean NOT NULL DEFAULT false,
    os_type text NOT NULL DEFAULT 'Linux',
    os_version text NOT NULL DEFAULT '',
    package_version text NOT NULL DEFAULT '',
    data_endpoint text NOT NULL DEFAULT '',
    csr_pem bytea NOT NULL,
    fingerprint text NOT NULL,
    certificate_serial text,
    certificate_not_after timestamptz,
    authorised_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE media_presence (
    media_server_id bigint PRIMARY KEY REFERENCES media_servers ON DELETE CASCADE,
    online boolean NOT NULL DEFAULT false,
    server_hwid text NOT NULL DEFAULT '',
    last_online timestamptz
);

CREATE TABLE unauthorised_media_servers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hwid text NOT NULL,
    hostname text NOT NULL,
    address text NOT NULL DEFAULT '',
    os_type text NOT NULL DEFAULT 'Linux',
    os_version text NOT NULL DEFAULT '',
    package_version text NOT NULL DEFAULT '',
    data_endpoint text NOT NULL DEFAULT '',
    csr_pem bytea NOT NULL,
    fingerprint text NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (hwid, fingerprint)
);

CREATE TABLE issued_certificates (
    serial text PRIMARY KEY,
    role text NOT NULL,
    hwid text NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    not_after timestamptz NOT NULL
);
CREATE INDEX issued_certificates_hwid ON issued_certificates (hwid);
CREATE INDEX issued_certificates_not_after ON issued_certificates (not_after);

CREATE TABLE revoked_certificates (
    serial text PRIMARY KEY,
    role text NOT NULL,
    hwid text NOT NULL,
    reason text NOT NULL,
    revoked_at timestamptz NOT NULL DEFAULT now()
);

-- --- roles: each row ties a user to what the role covers ---

CREATE TABLE administrators (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    client_group_id bigint NOT NULL REFERENCES client_groups,
    UNIQUE (user_id, client_group_id)
);
CREATE TABLE maintainers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    media_server_id bigint NOT NULL REFERENCES media_servers ON DELETE CASCADE,
    UNIQUE (user_id, media_server_id)
);
CREATE TABLE supervisors (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL UNIQUE REFERENCES users ON DELETE CASCADE
);
CREATE TABLE auditors (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL UNIQUE REFERENCES users ON DELETE CASCADE
);

-- --- pools and storages ---

CREATE TABLE pools (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    pool_name text NOT NULL UNIQUE,
    pool_type text NOT NULL,
    media_server_id bigint NOT NULL REFERENCES media_servers,
    compression_type text NOT NULL DEFAULT 'fast',
    description text NOT NULL DEFAULT '',
    retention_period interval,
    ignore_free_space_check boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX pools_media_server ON pools (media_server_id);

CREATE TABLE pool_state (
    pool_id bigint PRIMARY KEY REFERENCES pools ON DELETE CASCADE,
    problem text NOT NULL DEFAULT 'The media server has not reported yet.',
    free_bytes bigint NOT NULL DEFAULT 0,
    used_bytes bigint NOT NULL DEFAULT 0,
    total_bytes bigint NOT NULL DEFAULT 0,
    chunks bigint NOT NULL DEFAULT 0,
    reported_at timestamptz
);

CREATE TABLE storage_local_catalogs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    path text NOT NULL,
    pool_id bigint NOT NULL REFERENCES pools,
    media_server_id bigint NOT NULL REFERENCES media_servers,
    description text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (media_server_id, path)
);
CREATE INDEX storage_local_catalogs_pool ON storage_local_catalogs (pool_id);

ALTER TABLE clients ADD CONSTRAINT clients_ls_pool FOREIGN KEY (ls_pool_id) REFERENCES pools ON DELETE SET NULL;

-- --- the repository of copies ---

CREATE TABLE repository (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid uuid NOT NULL UNIQUE,
    parent_id bigint REFERENCES repository ON DELETE SET NULL,
    parent_uuid uuid,
    task_id bigint NOT NULL,
    client_id bigint REFERENCES clients ON DELETE SET NULL,
    client_hostname text NOT NULL,
    client_hwid text NOT NULL,
    client_group_id bigint REFERENCES client_groups ON DELETE SET NULL,
    pool_id bigint NOT NULL REFERENCES pools,
    resource_type text NOT NULL,
    resource text NOT NULL,
    backup_type text NOT NULL,
    crypto text NOT NULL,
    archiving boolean NOT NULL DEFAULT false,
    size_bytes bigint NOT NULL,
    stored_bytes bigint NOT NULL,
    files bigint NOT NULL,
    files_failed bigint NOT NULL,
    created_at timestamptz NOT NULL,
    store_until timestamptz,
    locked_until timestamptz,
    verification_status text NOT NULL DEFAULT 'Not Verified',
    verified_at timestamptz
);
CREATE INDEX repository_chain ON repository (client_hwid, resource_type, resource, pool_id, created_at DESC);
CREATE INDEX repository_created ON repository (created_at, id);
CREATE INDEX repository_client ON repository (client_id, id);
CREATE INDEX repository_pool ON repository (pool_id, id);
CREATE INDEX repository_parent ON repository (parent_id);

CREATE TABLE record_tombstones (
    uuid uuid PRIMARY KEY,
    pool_id bigint NOT NULL REFERENCES pools ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    acknowledged_at timestamptz
);
CREATE INDEX record_tombstones_waiting ON record_tombstones (pool_id) WHERE acknowledged_at IS NULL;

CREATE TABLE repository_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    record_id bigint NOT NULL,
    record_uuid uuid NOT NULL,
    client_group_id bigint,
    pool_id bigint,
    task_id bigint,
    user_name text NOT NULL DEFAULT '',
    action text NOT NULL,
    text text NOT NULL DEFAULT ''
);
CREATE INDEX repository_log_record ON repository_log (record_id, id);

-- --- the queue ---

CREATE SEQUENCE task_fence;

CREATE TABLE task_queue (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_type text NOT NULL,
    status text NOT NULL DEFAULT 'New',
    priority integer NOT NULL DEFAULT 100,
    blocked_on text,
    executor text NOT NULL,  -- 'client' or 'media': who does the work
    client_id bigint REFERENCES clients ON DELETE SET NULL,
    media_server_id bigint REFERENCES media_servers ON DELETE SET NULL,
    pool_id bigint REFERENCES pools ON DELETE SET NULL,
    record_id bigint,
    record_uuid uuid,
    parent_uuid uuid,  -- the record that the attempt builds on
    resource_type text NOT NULL DEFAULT '',
    resource text NOT NULL DEFAULT '',
    backup_type text NOT NULL DEFAULT '',
    crypto text NOT NULL DEFAULT 'nocrypt',
    storage_duration interval,
    archiving boolean NOT NULL DEFAULT false,
    parameters jsonb NOT NULL DEFAULT '{}',
    message text NOT NULL DEFAULT '',
    fence bigint NOT NULL DEFAULT 0,
    attempt integer NOT NULL DEFAULT 0,
    worker text NOT NULL DEFAULT '',
    restarted_from bigint,
    created_by text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    not_before timestamptz
);
CREATE INDEX task_queue_ready ON task_queue (priority DESC, id) WHERE status = 'New' AND blocked_on IS NULL;
CREATE INDEX task_queue_blocked ON task_queue (blocked_on, priority DESC, id) WHERE blocked_on IS NOT NULL;
CREATE INDEX task_queue_held ON task_queue (id)
    WHERE status IN ('Assigned', 'At_Client', 'Execution', 'Transmission');
CREATE INDEX task_queue_status ON task_queue (status, id);
CREATE INDEX task_queue_client ON task_queue (client_id, id);
CREATE INDEX task_queue_media ON task_queue (media_server_id, id);
CREATE INDEX task_queue_pool ON task_queue (pool_id, id);
CREATE INDEX task_queue_created ON task_queue (created_at, id);
CREATE INDEX task_queue_record ON task_queue (record_id) WHERE record_id IS NOT NULL;
CREATE INDEX task_queue_finished ON task_queue (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE task_reservations (
    task_id bigint NOT NULL REFERENCES task_queue ON DELETE CASCADE,
    kind text NOT NULL,  -- resource, record, pool, drive
    key text NOT NULL,
    exclusive boolean NOT NULL,
    held boolean NOT NULL DEFAULT false,  -- in force: a worker holds the task
    PRIMARY KEY (task_id, kind, key)
);
CREATE INDEX task_reservations_held ON task_reservations (kind, key) WHERE held;

CREATE TABLE task_progress (
    task_id bigint PRIMARY KEY REFERENCES task_queue ON DELETE CASCADE,
    fence bigint NOT NULL,
    lease_until timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    files_done bigint NOT NULL DEFAULT 0,
    files_total bigint NOT NULL DEFAULT 0,
    bytes_done bigint NOT NULL DEFAULT 0,
    bytes_total bigint NOT NULL DEFAULT 0,
    bytes_sent bigint NOT NULL DEFAULT 0,
    speed_bytes_per_second bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE INDEX task_progress_lease ON task_progress (lease_until);

CREATE TABLE task_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id bigint NOT NULL REFERENCES task_queue ON DELETE CASCADE,
    source text NOT NULL,  -- server, client, media
    fence bigint NOT NULL DEFAULT 0,
    line bigint NOT NULL DEFAULT 0,
    at timestamptz NOT NULL DEFAULT now(),
    level text NOT NULL DEFAULT 'info',
    text text NOT NULL
);
CREATE INDEX task_log_task ON task_log (task_id, id);
CREATE UNIQUE INDEX task_log_once ON task_log (task_id, source, fence, line) WHERE line > 0;

-- --- configuration, audit, events ---

CREATE TABLE global_configuration (
    key text PRIMARY KEY,
    value jsonb NOT NULL
);

CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    user_name text NOT NULL,
    address text NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    resource text NOT NULL,
    row_ids bigint[] NOT NULL DEFAULT '{}',
    outcome text NOT NULL,
    before jsonb,
    after jsonb
);
CREATE INDEX audit_at ON audit (at, id);

CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL,
    family text NOT NULL,
    row_id bigint NOT NULL,
    client_group_id bigint,
    media_server_id bigint,
    data jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX events_order ON events (xid, id);

-- Logs of hosts, monitoring, bandwidth.

-- Limits of bandwidth. Several of one client may overlap.
CREATE TABLE client_bandwidth (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id bigint NOT NULL REFERENCES clients ON DELETE CASCADE,
    backup_bandwidth bigint NOT NULL DEFAULT 0 CHECK (backup_bandwidth >= 0),    -- KiB/s, 0: no limit
    restore_bandwidth bigint NOT NULL DEFAULT 0 CHECK (restore_bandwidth >= 0),  -- KiB/s, 0: no limit
    window_start time NOT NULL DEFAULT '00:00',  -- local time; equal to the end: all day
    window_end time NOT NULL DEFAULT '00:00'
);
CREATE INDEX client_bandwidth_client ON client_bandwidth (client_id, id);

-- What happened to hosts. The lines outlive the host, so nothing refers to its row; a client's lines move with it
-- to another group. Lines without a group or media server are those of hosts that were never authorised.
CREATE TABLE clients_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    client_id bigint,
    client_group_id bigint,
    hostname text NOT NULL,
    hwid text NOT NULL,
    user_name text NOT NULL DEFAULT '',
    action text NOT NULL,
    text text NOT NULL DEFAULT ''
);
CREATE INDEX clients_log_group ON clients_log (client_group_id, id);
CREATE INDEX clients_log_client ON clients_log (client_id, id);
CREATE INDEX clients_log_hwid ON clients_log (hwid, id);
CREATE INDEX clients_log_at ON clients_log (at, id);

CREATE TABLE media_servers_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    media_server_id bigint,
    hostname text NOT NULL,
    hwid text NOT NULL,
    user_name text NOT NULL DEFAULT '',
    action text NOT NULL,
    text text NOT NULL DEFAULT ''
);
CREATE INDEX media_servers_log_media_server ON media_servers_log (media_server_id, id);
CREATE INDEX media_servers_log_hwid ON media_servers_log (hwid, id);
CREATE INDEX media_servers_log_at ON media_servers_log (at, id);

-- How busy servers and media servers are; written in batches, trimmed with each.
CREATE TABLE system_monitoring (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hwid text NOT NULL,
    hostname text NOT NULL,
    server_type text NOT NULL CHECK (server_type IN ('server', 'media server')),
    timestamp_before timestamptz NOT NULL,
    timestamp_after timestamptz NOT NULL,
    general_cpu_usage double precision NOT NULL,
    server_cpu_usage double precision NOT NULL,
    general_ram_usage double precision NOT NULL,
    server_ram_usage double precision NOT NULL,
    general_ram_usage_m double precision NOT NULL,
    server_ram_usage_m double precision NOT NULL,
    general_io_usage_r double precision NOT NULL,
    general_io_usage_w double precision NOT NULL,
    server_io_usage_r double precision NOT NULL,
    server_io_usage_w double precision NOT NULL,
    general_net_usage_r double precision NOT NULL,
    general_net_usage_w double precision NOT NULL,
    load_average double precision NOT NULL
);
CREATE INDEX system_monitoring_host ON system_monitoring (hwid, id);
CREATE INDEX system_monitoring_at ON system_monitoring (timestamp_after, id);

-- servers_hw_id_tmp finds the client on the same host.
CREATE INDEX clients_hostname_lower ON clients (lower(hostname), id);

-- Servers get a number, by which servers_hw_id_tmp tells them apart.
ALTER TABLE servers ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY UNIQUE;

-- Whether the files of a copy may be listed (the module's parameter file_list).
ALTER TABLE repository ADD COLUMN file_list boolean NOT NULL DEFAULT true;

-- A catalogue as large as the session's setting rubackup.rows says: so many tasks and copies, a hundredth of it clients.
DO $$
DECLARE
    n bigint := current_setting('rubackup.rows')::bigint;
    clients bigint := greatest(n / 100, 10);
BEGIN
    INSERT INTO client_groups (name, description) SELECT 'group ' || i, 'd' FROM generate_series(1, 50) i;
    INSERT INTO clients (hwid, hostname, group_id, os_version, package_version, resource_types, csr_pem, fingerprint)
    SELECT lpad(to_hex(i), 16, '0'), 'client-' || i, g.id, 'Debian 12', '1.0', '{File system}', '', ''
    FROM generate_series(1, clients) i
    JOIN (SELECT id, row_number() OVER (ORDER BY id) AS r FROM client_groups) g ON g.r = i % 50 + 1;
    INSERT INTO client_presence (client_id, online, last_online)
    SELECT id, id % 10 > 0, now() - id * interval '1 s' FROM clients ON CONFLICT DO NOTHING;

    INSERT INTO media_servers (hwid, hostname, csr_pem, fingerprint)
    SELECT lpad(to_hex(i), 64, '0'), 'media-' || i, '', '' FROM generate_series(1, 10) i;
    INSERT INTO pools (pool_name, pool_type, media_server_id)
    SELECT 'pool ' || i, 'File system', m.id FROM generate_series(1, 40) i
    JOIN (SELECT id, row_number() OVER (ORDER BY id) AS r FROM media_servers) m ON m.r = i % 10 + 1;
    INSERT INTO storage_local_catalogs (path, pool_id, media_server_id)
    SELECT '/storage/' || id, id, media_server_id FROM pools WHERE pool_name LIKE 'pool %';

    INSERT INTO task_queue (task_type, status, priority, executor, client_id, media_server_id, pool_id, resource_type,
        resource, backup_type, storage_duration, parameters, message, created_by, created_at, started_at, finished_at,
        archiving)
    SELECT 'Backup',
        CASE WHEN i % 1000 = 0 THEN 'Error' WHEN i % 997 = 0 THEN 'Killed' WHEN i > n - 200 THEN 'Paused' ELSE 'Done' END,
        i * 7919 % 1000 + 1, 'client', c.id, p.media_server_id, p.id, 'File system', '/home/' || i * 31 % 100000, 'full',
        interval '30 days', '{"module": {"file_list": true}, "common": {"worker_parallelism": 8}}',
        'Copy ' || i || ': ' || i % 5000 || ' files', 'user-' || i % 7, now() - (n - i) * interval '3 s',
        now() - (n - i) * interval '3 s' + interval '1 s', now() - (n - i) * interval '3 s' + i % 600 * interval '1 s',
        i % 50 = 0
    FROM generate_series(1, n) i
    JOIN (SELECT id, row_number() OVER (ORDER BY id) AS r, count(*) OVER () AS many FROM clients) c ON c.r = i * 17 % c.many + 1
    JOIN (SELECT id, media_server_id, row_number() OVER (ORDER BY id) AS r, count(*) OVER () AS many FROM pools) p
        ON p.r = i % p.many + 1
    ORDER BY i;
    INSERT INTO task_progress (task_id, fence, lease_until, files_done, files_total, bytes_done, bytes_total)
    SELECT id, 1, created_at, id % 5000, id % 5000, id * 4096 % 1000000000, id * 4096 % 1000000000 FROM task_queue;

    INSERT INTO repository (uuid, task_id, client_id, client_hostname, client_hwid, client_group_id, pool_id,
        resource_type, resource, backup_type, crypto, size_bytes, stored_bytes, files, files_failed, created_at)
    SELECT gen_random_uuid(), t.id, c.id, c.hostname, c.hwid, c.group_id, t.pool_id, t.resource_type, t.resource,
        t.backup_type, t.crypto, t.id * 4096 % 1000000000, t.id * 1024 % 1000000000, t.id % 5000, 0, t.created_at
    FROM task_queue t JOIN clients c ON c.id = t.client_id ORDER BY t.id;
END $$;

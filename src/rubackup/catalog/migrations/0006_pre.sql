-- Tape libraries. What a robot told last lies in library_slots and library_tape_drives; a cartridge is where its
-- volume tag was seen, so there is no reference from slots to cartridges that a swap by hand could make a lie.

-- Robots and drives that media servers were found to have. A device keeps its number while it is known by its serial
-- number (else by its SCSI address), whatever node it gets at the next boot; `present`: found by the last scan.
CREATE TABLE tape_candidates (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    media_server_id bigint NOT NULL REFERENCES media_servers ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('medium_changer', 'tape_drive')),
    identity text NOT NULL,
    scsi_path text NOT NULL,
    device text NOT NULL,
    tape_device text NOT NULL DEFAULT '',
    vendor text NOT NULL DEFAULT '',
    product text NOT NULL DEFAULT '',
    revision text NOT NULL DEFAULT '',
    serial text NOT NULL DEFAULT '',
    present boolean NOT NULL DEFAULT true,
    seen_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (media_server_id, kind, identity)
);

CREATE TABLE tape_libraries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pool_id bigint NOT NULL REFERENCES pools,
    media_server_id bigint NOT NULL REFERENCES media_servers,
    description text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    synced_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tape_libraries_pool ON tape_libraries (pool_id, id);
CREATE INDEX tape_libraries_media_server ON tape_libraries (media_server_id, id);

CREATE TABLE medium_changers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tape_library_id bigint NOT NULL UNIQUE REFERENCES tape_libraries ON DELETE CASCADE,
    candidate_id bigint NOT NULL UNIQUE REFERENCES tape_candidates,
    scsi_path text NOT NULL,
    device text NOT NULL,
    vendor text NOT NULL,
    product text NOT NULL,
    revision text NOT NULL,
    serial text NOT NULL
);

CREATE TABLE library_tape_drives (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tape_library_id bigint NOT NULL REFERENCES tape_libraries ON DELETE CASCADE,
    candidate_id bigint NOT NULL UNIQUE REFERENCES tape_candidates,
    scsi_path text NOT NULL,
    device text NOT NULL,
    vendor text NOT NULL,
    product text NOT NULL,
    revision text NOT NULL,
    serial text NOT NULL,
    sys_transfer_element integer CHECK (sys_transfer_element BETWEEN 0 AND 65535),
    is_full boolean NOT NULL DEFAULT false,
    volume_tag text NOT NULL DEFAULT '',
    source_element integer,
    problem text NOT NULL DEFAULT '',
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tape_library_id, sys_transfer_element)
);
CREATE INDEX library_tape_drives_tag ON library_tape_drives (volume_tag) WHERE volume_tag <> '';

CREATE VIEW tape_devices_in_use AS
    SELECT l.media_server_id, 'medium_changer' AS kind, m.tape_library_id, m.candidate_id, m.scsi_path, m.serial
    FROM medium_changers m JOIN tape_libraries l ON l.id = m.tape_library_id
    UNION ALL
    SELECT l.media_server_id, 'tape_drive', d.tape_library_id, d.candidate_id, d.scsi_path, d.serial
    FROM library_tape_drives d JOIN tape_libraries l ON l.id = d.tape_library_id;

CREATE TABLE library_slots (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tape_library_id bigint NOT NULL REFERENCES tape_libraries ON DELETE CASCADE,
    element_address integer NOT NULL CHECK (element_address BETWEEN 0 AND 65535),
    slot_type text NOT NULL CHECK (slot_type IN ('slot', 'import_export')),
    is_full boolean NOT NULL,
    volume_tag text NOT NULL DEFAULT '',
    accessible boolean NOT NULL,
    problem text NOT NULL DEFAULT '',
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tape_library_id, element_address),
    CHECK (is_full OR volume_tag = '')
);
CREATE INDEX library_slots_tag ON library_slots (volume_tag) WHERE volume_tag <> '';

CREATE TABLE tape_cartridges (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type text NOT NULL,
    pool_id bigint NOT NULL REFERENCES pools,
    volume_tag text NOT NULL UNIQUE CHECK (volume_tag <> ''),
    description text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tape_cartridges_pool ON tape_cartridges (pool_id, id);

-- Which copies lie on a cartridge; who writes to tape writes here, in the transaction that lists the copy.
CREATE TABLE tape_cartridge_copies (
    cartridge_id bigint NOT NULL REFERENCES tape_cartridges,
    record_id bigint NOT NULL REFERENCES repository ON DELETE CASCADE,
    PRIMARY KEY (cartridge_id, record_id)
);
CREATE INDEX tape_cartridge_copies_record ON tape_cartridge_copies (record_id);

-- The queue of what robots and drives are to do.
CREATE TABLE tl_task_queue (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_type text NOT NULL CHECK (task_type IN
        ('check_ltfs', 'erase_cartridge', 'export_cartridge', 'format_cartridge', 'move_cartridge', 'clean_drive')),
    status text NOT NULL DEFAULT 'New',
    media_server_id bigint NOT NULL REFERENCES media_servers ON DELETE CASCADE,
    tape_library_id bigint REFERENCES tape_libraries ON DELETE SET NULL,
    tape_drive_id bigint REFERENCES library_tape_drives ON DELETE SET NULL,
    slot_id bigint REFERENCES library_slots ON DELETE SET NULL,
    volume_tag text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    created_by text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz
);
CREATE INDEX tl_task_queue_status ON tl_task_queue (status, id);
CREATE INDEX tl_task_queue_media_server ON tl_task_queue (media_server_id, id);
CREATE INDEX tl_task_queue_library ON tl_task_queue (tape_library_id, id);
CREATE INDEX tl_task_queue_drive ON tl_task_queue (tape_drive_id) WHERE tape_drive_id IS NOT NULL;
CREATE INDEX tl_task_queue_slot ON tl_task_queue (slot_id) WHERE slot_id IS NOT NULL;

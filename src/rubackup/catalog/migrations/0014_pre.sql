-- Number of the last contact that the media server of a pool has confirmed: a catalogue that was set back has a lower one than the pool.

ALTER TABLE pool_state ADD COLUMN contact bigint NOT NULL DEFAULT 0;

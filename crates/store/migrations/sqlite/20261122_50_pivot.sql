-- value_key of a short value is its text, and value then empty; of a file with a hash the hash.

-- What happened to a value on a device, see SightingStages.
ALTER TABLE sightings ADD COLUMN account TEXT;
ALTER TABLE sightings ADD COLUMN saved_at BIGINT;
ALTER TABLE sightings ADD COLUMN saved_by TEXT;
ALTER TABLE sightings ADD COLUMN executed_at BIGINT;
ALTER TABLE sightings ADD COLUMN connected_at BIGINT;
ALTER TABLE sightings ADD COLUMN blocked_at BIGINT;
ALTER TABLE sightings ADD COLUMN deleted_at BIGINT;

-- The other hashes of a file: 20 bytes of SHA-1, 16 of MD5.
CREATE TABLE file_hashes (
    hash BLOB NOT NULL,
    sha256 BLOB NOT NULL,
    PRIMARY KEY (hash, sha256)
) WITHOUT ROWID;

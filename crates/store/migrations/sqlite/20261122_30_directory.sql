-- People of the directories; doc is the JSON of a person.
CREATE TABLE directory (
    id TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    search TEXT NOT NULL,
    doc TEXT NOT NULL
);
CREATE INDEX directory_name ON directory (name, id);
CREATE INDEX directory_source ON directory (source, id);

-- What names a person: account, sid or address, lower case.
CREATE TABLE directory_keys (
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    person_id TEXT NOT NULL,
    PRIMARY KEY (kind, value, person_id)
) WITHOUT ROWID;
CREATE INDEX directory_keys_person ON directory_keys (person_id);

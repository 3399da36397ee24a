-- People of the directories; doc is the JSON of a person.
CREATE TABLE directory (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    source TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    search TEXT COLLATE "C" NOT NULL,
    doc TEXT COLLATE "C" NOT NULL
);
CREATE INDEX directory_name ON directory (name, id);
CREATE INDEX directory_source ON directory (source, id);

-- What names a person: account, sid or address, lower case.
CREATE TABLE directory_keys (
    kind TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    person_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, value, person_id)
);
CREATE INDEX directory_keys_person ON directory_keys (person_id);

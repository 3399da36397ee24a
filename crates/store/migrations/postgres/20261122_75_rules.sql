-- What was decided about detection rules, and every decision before.
CREATE TABLE rules (
    id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    hits BIGINT NOT NULL,
    last_hit BIGINT,
    doc TEXT NOT NULL
);

CREATE TABLE rule_versions (
    rule_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (rule_id, version)
);

-- What is decided about alerts before they are made, and what it did to them.
CREATE TABLE tuning_rules (
    id TEXT NOT NULL PRIMARY KEY,
    hits BIGINT NOT NULL DEFAULT 0,
    last_hit BIGINT,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL
);

ALTER TABLE alerts ADD COLUMN tuned TEXT NOT NULL DEFAULT '';
CREATE INDEX alerts_rule ON alerts (rule_id, created_at);

-- What may happen without a person: one row. due_at: when a pending action has to be looked at next.
CREATE TABLE automation_policy (
    id BIGINT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL
);
ALTER TABLE actions ADD COLUMN due_at BIGINT;
CREATE INDEX actions_due ON actions (due_at);

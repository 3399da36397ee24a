-- What correlation rules have seen so far: one document per rule.
CREATE TABLE correlation_states (
    rule TEXT NOT NULL PRIMARY KEY,
    doc TEXT NOT NULL
);

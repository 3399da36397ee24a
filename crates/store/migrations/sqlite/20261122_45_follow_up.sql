-- Mail actions that stay armed for late copies. identity: hash of Message-ID and content.
CREATE TABLE mail_armed (
    identity TEXT NOT NULL,
    action_id TEXT NOT NULL,
    armed_until BIGINT NOT NULL,
    PRIMARY KEY (identity, action_id)
);
CREATE INDEX mail_armed_action ON mail_armed (action_id);
CREATE INDEX mail_armed_until ON mail_armed (armed_until);

-- Late copies that were noticed. What is done about one is in the mail journal under its own id.
CREATE TABLE mail_late (
    id TEXT NOT NULL PRIMARY KEY,
    action_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    recipient TEXT NOT NULL,
    cause TEXT NOT NULL,
    noticed_at BIGINT NOT NULL,
    settled_at BIGINT
);
CREATE INDEX mail_late_action ON mail_late (action_id, id);
CREATE UNIQUE INDEX mail_late_open ON mail_late (action_id, message_id, recipient) WHERE settled_at IS NULL;

-- What is told outside the console. dedupe_key: the same thing is told to a channel once.
CREATE TABLE notifications (
    id TEXT NOT NULL PRIMARY KEY,
    dedupe_key TEXT NOT NULL UNIQUE,
    channel TEXT NOT NULL,
    rule TEXT NOT NULL,
    kind TEXT NOT NULL,
    severity TEXT,
    incident BIGINT,
    subject TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    tried_at BIGINT,
    digest TEXT,
    answer TEXT NOT NULL
);
CREATE INDEX notifications_time ON notifications (created_at, id);
CREATE INDEX notifications_digest ON notifications (digest);
CREATE INDEX notifications_channel ON notifications (channel, state, created_at);
CREATE INDEX devices_seen ON devices (online, last_seen);

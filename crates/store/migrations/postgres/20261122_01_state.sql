-- Times are microseconds since 1970 UTC, ids lower-case text, doc the JSON of the model struct.
-- COLLATE "C": texts sort by bytes, as in SQLite.

CREATE TABLE devices (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    health TEXT COLLATE "C" NOT NULL,
    online BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    search TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL
);
CREATE INDEX devices_name ON devices (name, id);

CREATE TABLE enrolment_tokens (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    secret_sha256 TEXT COLLATE "C" NOT NULL UNIQUE,
    note TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_by TEXT COLLATE "C"
);

CREATE TABLE sensor_progress (
    device_id TEXT COLLATE "C" NOT NULL,
    generation BIGINT NOT NULL,
    report_id BIGINT NOT NULL,
    PRIMARY KEY (device_id, generation)
);

CREATE TABLE consumers (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL
);

CREATE TABLE counters (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE settings (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE lake_files (
    path TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hunting_table TEXT COLLATE "C" NOT NULL,
    day TEXT COLLATE "C" NOT NULL,
    row_count BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    first_event BIGINT NOT NULL,
    last_event BIGINT NOT NULL
);

-- value_key: the hash itself for files, else SHA-256 of the text in value
CREATE TABLE sightings (
    kind TEXT COLLATE "C" NOT NULL,
    value_key BYTEA NOT NULL,
    entity_kind TEXT COLLATE "C" NOT NULL,
    entity BYTEA NOT NULL,
    value TEXT COLLATE "C",
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    count BIGINT NOT NULL,
    sample TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, value_key, entity_kind, entity)
);

CREATE TABLE alerts (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    incident_id TEXT COLLATE "C" NOT NULL,
    severity BIGINT NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    classification TEXT COLLATE "C" NOT NULL,
    service_source TEXT COLLATE "C" NOT NULL,
    rule_id TEXT COLLATE "C" NOT NULL,
    device_id TEXT COLLATE "C",
    assigned_to TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    last_activity BIGINT NOT NULL,
    search TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL
);
CREATE INDEX alerts_incident ON alerts (incident_id);
CREATE INDEX alerts_last_activity ON alerts (last_activity, id);
CREATE INDEX alerts_device ON alerts (device_id, last_activity);

CREATE TABLE alert_entities (
    entity TEXT COLLATE "C" NOT NULL,
    alert_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (entity, alert_id)
);
CREATE INDEX alert_entities_alert ON alert_entities (alert_id);

CREATE TABLE alert_dedupe (
    dedupe_key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    alert_id TEXT COLLATE "C" NOT NULL,
    until BIGINT NOT NULL
);

CREATE TABLE incidents (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    severity BIGINT NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    classification TEXT COLLATE "C" NOT NULL,
    assigned_to TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    last_activity BIGINT NOT NULL,
    search TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL
);
CREATE INDEX incidents_last_activity ON incidents (last_activity, id);

CREATE TABLE investigations (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    state TEXT COLLATE "C" NOT NULL,
    playbook TEXT COLLATE "C" NOT NULL,
    alert_id TEXT COLLATE "C" NOT NULL,
    incident_id TEXT COLLATE "C" NOT NULL,
    device_id TEXT COLLATE "C",
    started_at BIGINT NOT NULL,
    search TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL
);
CREATE INDEX investigations_incident ON investigations (incident_id);
CREATE INDEX investigations_started ON investigations (started_at, id);

CREATE TABLE actions (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    incident_id TEXT COLLATE "C",
    investigation_id TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    search TEXT COLLATE "C" NOT NULL,
    idempotency_key TEXT COLLATE "C" UNIQUE,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL
);
CREATE INDEX actions_state ON actions (state, created_at);
CREATE INDEX actions_incident ON actions (incident_id);
CREATE INDEX actions_created ON actions (created_at, id);

CREATE TABLE indicators (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    effect TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    search TEXT COLLATE "C" NOT NULL,
    hits BIGINT NOT NULL DEFAULT 0,
    last_hit BIGINT,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL,
    UNIQUE (kind, value)
);

CREATE TABLE mail_journal (
    action_id TEXT COLLATE "C" NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    recipient TEXT COLLATE "C" NOT NULL,
    intent TEXT COLLATE "C" NOT NULL,
    result TEXT COLLATE "C",
    PRIMARY KEY (action_id, message_id, recipient)
);
CREATE INDEX mail_journal_copy ON mail_journal (message_id, recipient);

CREATE TABLE commands (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    device_id TEXT COLLATE "C" NOT NULL,
    sequence BIGINT NOT NULL,
    envelope BYTEA NOT NULL,
    signature BYTEA NOT NULL,
    action_id TEXT COLLATE "C",
    state TEXT COLLATE "C" NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    result TEXT COLLATE "C",
    UNIQUE (device_id, sequence)
);
CREATE INDEX commands_action ON commands (action_id);

CREATE TABLE jobs (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    job_key TEXT COLLATE "C" NOT NULL UNIQUE,
    payload TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    run_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    worker TEXT COLLATE "C",
    attempt BIGINT NOT NULL,
    error TEXT COLLATE "C",
    finished_at BIGINT
);
CREATE INDEX jobs_due ON jobs (state, run_at, id);

CREATE TABLE users (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    password_hash TEXT COLLATE "C" NOT NULL,
    totp_secret TEXT COLLATE "C",
    totp_last_step BIGINT NOT NULL,
    passkeys_json TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL
);

CREATE TABLE sessions (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    token_sha256 TEXT COLLATE "C" NOT NULL UNIQUE,
    user_id TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    step_up_until BIGINT,
    address TEXT COLLATE "C" NOT NULL,
    user_agent TEXT COLLATE "C" NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE api_tokens (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    secret_sha256 TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used BIGINT
);

CREATE TABLE login_failures (
    login_key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    count BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL
);

CREATE TABLE audit (
    seq BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    target TEXT COLLATE "C" NOT NULL,
    detail TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    result TEXT COLLATE "C" NOT NULL,
    previous_hash TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    search TEXT COLLATE "C" NOT NULL
);
CREATE TABLE audit_head (
    id BIGINT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    hash TEXT COLLATE "C" NOT NULL
);
INSERT INTO audit_head (id, seq, hash)
VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

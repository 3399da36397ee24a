-- Times are microseconds since 1970 UTC, ids lower-case text, doc the JSON of the model struct.

CREATE TABLE devices (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    health TEXT NOT NULL,
    online BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    search TEXT NOT NULL,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL
);
CREATE INDEX devices_name ON devices (name, id);

CREATE TABLE enrolment_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    secret_sha256 TEXT NOT NULL UNIQUE,
    note TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_by TEXT
);

CREATE TABLE sensor_progress (
    device_id TEXT NOT NULL,
    generation BIGINT NOT NULL,
    report_id BIGINT NOT NULL,
    PRIMARY KEY (device_id, generation)
);

CREATE TABLE consumers (
    name TEXT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL
);

CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE lake_files (
    path TEXT NOT NULL PRIMARY KEY,
    hunting_table TEXT NOT NULL,
    day TEXT NOT NULL,
    row_count BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    first_event BIGINT NOT NULL,
    last_event BIGINT NOT NULL
);

-- value_key: the hash itself for files, else SHA-256 of the text in value
CREATE TABLE sightings (
    kind TEXT NOT NULL,
    value_key BLOB NOT NULL,
    entity_kind TEXT NOT NULL,
    entity BLOB NOT NULL,
    value TEXT,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    count BIGINT NOT NULL,
    sample TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (kind, value_key, entity_kind, entity)
) WITHOUT ROWID;

CREATE TABLE alerts (
    id TEXT NOT NULL PRIMARY KEY,
    incident_id TEXT NOT NULL,
    severity BIGINT NOT NULL,
    status TEXT NOT NULL,
    classification TEXT NOT NULL,
    service_source TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    device_id TEXT,
    assigned_to TEXT,
    created_at BIGINT NOT NULL,
    last_activity BIGINT NOT NULL,
    search TEXT NOT NULL,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL
);
CREATE INDEX alerts_incident ON alerts (incident_id);
CREATE INDEX alerts_last_activity ON alerts (last_activity, id);
CREATE INDEX alerts_device ON alerts (device_id, last_activity);

CREATE TABLE alert_entities (
    entity TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    PRIMARY KEY (entity, alert_id)
) WITHOUT ROWID;
CREATE INDEX alert_entities_alert ON alert_entities (alert_id);

CREATE TABLE alert_dedupe (
    dedupe_key TEXT NOT NULL PRIMARY KEY,
    alert_id TEXT NOT NULL,
    until BIGINT NOT NULL
);

CREATE TABLE incidents (
    id TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    severity BIGINT NOT NULL,
    status TEXT NOT NULL,
    classification TEXT NOT NULL,
    assigned_to TEXT,
    created_at BIGINT NOT NULL,
    last_activity BIGINT NOT NULL,
    search TEXT NOT NULL,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL
);
CREATE INDEX incidents_last_activity ON incidents (last_activity, id);

CREATE TABLE investigations (
    id TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    playbook TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    incident_id TEXT NOT NULL,
    device_id TEXT,
    started_at BIGINT NOT NULL,
    search TEXT NOT NULL,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL
);
CREATE INDEX investigations_incident ON investigations (incident_id);
CREATE INDEX investigations_started ON investigations (started_at, id);

CREATE TABLE actions (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    incident_id TEXT,
    investigation_id TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    search TEXT NOT NULL,
    idempotency_key TEXT UNIQUE,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL
);
CREATE INDEX actions_state ON actions (state, created_at);
CREATE INDEX actions_incident ON actions (incident_id);
CREATE INDEX actions_created ON actions (created_at, id);

CREATE TABLE indicators (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    effect TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    search TEXT NOT NULL,
    hits BIGINT NOT NULL DEFAULT 0,
    last_hit BIGINT,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL,
    UNIQUE (kind, value)
);

CREATE TABLE mail_journal (
    action_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    recipient TEXT NOT NULL,
    intent TEXT NOT NULL,
    result TEXT,
    PRIMARY KEY (action_id, message_id, recipient)
);
CREATE INDEX mail_journal_copy ON mail_journal (message_id, recipient);

CREATE TABLE commands (
    id TEXT NOT NULL PRIMARY KEY,
    device_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    envelope BLOB NOT NULL,
    signature BLOB NOT NULL,
    action_id TEXT,
    state TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    result TEXT,
    UNIQUE (device_id, sequence)
);
CREATE INDEX commands_action ON commands (action_id);

CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    job_key TEXT NOT NULL UNIQUE,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,
    run_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    worker TEXT,
    attempt BIGINT NOT NULL,
    error TEXT,
    finished_at BIGINT
);
CREATE INDEX jobs_due ON jobs (state, run_at, id);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    totp_secret TEXT,
    totp_last_step BIGINT NOT NULL,
    passkeys_json TEXT NOT NULL,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL
);

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    token_sha256 TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    step_up_until BIGINT,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE api_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    secret_sha256 TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used BIGINT
);

CREATE TABLE login_failures (
    login_key TEXT NOT NULL PRIMARY KEY,
    count BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL
);

CREATE TABLE audit (
    seq BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL,
    address TEXT NOT NULL,
    result TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    search TEXT NOT NULL
);
CREATE TABLE audit_head (
    id BIGINT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_head (id, seq, hash)
VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

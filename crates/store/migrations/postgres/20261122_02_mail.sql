-- Mail. A message is one row of mail_messages; each of its recipients one row of mail_copies.
-- n numbers messages in order of time: milliseconds since 1970 shifted left by 20 bits, plus 20 bits
-- of its own. Everything a filter can ask for is a posting (term, n): term is the beginning of the
-- SHA-256 of kind and value. mail_counts adds up the postings of enumerations per hour.

CREATE TABLE mail_messages (
    n BIGINT NOT NULL PRIMARY KEY,
    message_id TEXT NOT NULL UNIQUE,
    size BIGINT NOT NULL,
    files BIGINT NOT NULL,
    urls BIGINT NOT NULL,
    copies BIGINT NOT NULL,
    campaign BIGINT NOT NULL,
    subject_key BIGINT NOT NULL,
    body_key BIGINT NOT NULL,
    sender_key BIGINT NOT NULL,
    url_key BIGINT NOT NULL,
    file_key BIGINT NOT NULL,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL
);

CREATE TABLE mail_copies (
    n BIGINT NOT NULL,
    recipient TEXT NOT NULL,
    delivery_action TEXT NOT NULL,
    delivery_location TEXT NOT NULL,
    latest_location TEXT NOT NULL,
    folder TEXT,
    moved_by TEXT,
    moved_at BIGINT,
    version BIGINT NOT NULL,
    PRIMARY KEY (n, recipient)
);

CREATE TABLE mail_terms (
    term BIGINT NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (term, n)
);

CREATE TABLE mail_counts (
    term BIGINT NOT NULL,
    hour BIGINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (term, hour)
);

-- What scanners said by POST /verdicts. value: SHA-256, URL or NetworkMessageId.
CREATE TABLE mail_verdicts (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    at BIGINT NOT NULL,
    idempotency_key TEXT UNIQUE,
    doc TEXT NOT NULL
);
CREATE INDEX mail_verdicts_value ON mail_verdicts (kind, value);

-- The crawl: how far each folder of each mailbox was read, and which message each mail is.
CREATE TABLE mail_folders (
    id BIGINT NOT NULL PRIMARY KEY,
    mailbox TEXT NOT NULL,
    folder TEXT NOT NULL,
    name TEXT NOT NULL,
    location TEXT NOT NULL,
    cursor TEXT,
    seen_at BIGINT NOT NULL,
    UNIQUE (mailbox, folder)
);

CREATE TABLE mail_places (
    folder_id BIGINT NOT NULL,
    mail TEXT NOT NULL,
    n BIGINT NOT NULL,
    recipient TEXT NOT NULL,
    PRIMARY KEY (folder_id, mail)
);
CREATE INDEX mail_places_copy ON mail_places (n, recipient);

CREATE TABLE mail_crawls (
    mailbox TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    mails BIGINT NOT NULL,
    skipped BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    next_at BIGINT NOT NULL,
    error TEXT
);
CREATE INDEX mail_crawls_next ON mail_crawls (next_at, mailbox);

-- Actions on whatever a filter picks: the filter, how far it was expanded, the actions made of it.
CREATE TABLE mail_bulk (
    id TEXT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    idempotency_key TEXT UNIQUE,
    doc TEXT NOT NULL
);

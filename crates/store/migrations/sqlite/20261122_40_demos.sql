CREATE TABLE demos (
    id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL
);

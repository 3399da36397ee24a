-- Indicators are read in pages of the order they came in.
CREATE INDEX indicators_created ON indicators (created_at, id);

-- Looks back: what new indicators would have matched in events and mail that are already there.
CREATE TABLE indicator_looks (
    id TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    doc TEXT NOT NULL,
    kept TEXT NOT NULL
);
CREATE INDEX indicator_looks_at ON indicator_looks (at, id);

-- What feeds of indicators brought; the feeds themselves are in the configuration.
CREATE TABLE indicator_feeds (
    name TEXT NOT NULL PRIMARY KEY,
    doc TEXT NOT NULL
);
CREATE TABLE indicator_feed_runs (
    id TEXT NOT NULL PRIMARY KEY,
    feed TEXT NOT NULL,
    at BIGINT NOT NULL,
    doc TEXT NOT NULL
);
CREATE INDEX indicator_feed_runs_at ON indicator_feed_runs (feed, at, id);

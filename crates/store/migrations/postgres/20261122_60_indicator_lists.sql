-- Lists of indicators that were taken in; what one added can be taken out again.
ALTER TABLE indicators ADD COLUMN import_id TEXT;
CREATE INDEX indicators_import ON indicators (import_id);

CREATE TABLE indicator_imports (
    id TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    doc TEXT NOT NULL
);

-- Detections that are no alert by themselves, kept until they add up or a week has passed.
CREATE TABLE weak_signs (
    sign_key TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    group_key TEXT NOT NULL,
    place TEXT NOT NULL,
    at BIGINT NOT NULL,
    doc TEXT NOT NULL
);
CREATE INDEX weak_signs_group ON weak_signs (group_key, at);
CREATE INDEX weak_signs_place ON weak_signs (place, at);
CREATE INDEX weak_signs_at ON weak_signs (at);
CREATE INDEX weak_signs_id ON weak_signs (id);

-- Which devices (or messages) show which habit, and since when; few more are kept than it takes to
-- call a habit ordinary.
CREATE TABLE habits (
    habit TEXT NOT NULL,
    subject TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    PRIMARY KEY (habit, subject)
) WITHOUT ROWID;
CREATE INDEX habits_subject ON habits (subject);

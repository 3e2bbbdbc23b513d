ALTER TABLE notes ADD COLUMN colour TEXT;
CREATE TABLE tags (note INTEGER NOT NULL REFERENCES notes (id), tag TEXT NOT NULL);
CREATE UNIQUE INDEX tags_by_note ON tags (note, tag);

-- Differs: only SQLite's file is ours to look after.
pragma integrity_check

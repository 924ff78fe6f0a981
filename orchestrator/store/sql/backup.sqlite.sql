-- Differs: a PostgreSQL is copied by pg_dump.
vacuum into $1

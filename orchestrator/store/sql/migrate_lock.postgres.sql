-- Differs: only PostgreSQL has more than one writer. The number is ours: "flowctl" in ASCII.
select pg_advisory_xact_lock(28829673624663148)

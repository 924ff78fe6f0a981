-- Differs: only PostgreSQL has more than one writer. The number is ours: "flowserv" in ASCII.
select pg_advisory_xact_lock(7380396448181219958)

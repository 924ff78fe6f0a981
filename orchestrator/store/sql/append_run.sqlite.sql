-- Differs: no lock, because SQLite has one writer at a time.
update runs
set seq = $3, state = $4, started_at = $5, finished_at = $6, error = $7
where run_id = $1 and seq = $2
  and ($8 = '' or exists (select 1 from leases where leases.run_id = $1 and holder = $8))

update runs
set seq = $3, state = $4, started_at = $5, finished_at = $6, error = $7
where run_id = $1 and seq = $2

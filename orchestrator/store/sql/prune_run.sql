delete from runs where run_id = $1 and state not in ('queued', 'running')

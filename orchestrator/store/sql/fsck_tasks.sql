select task, state, attempts, cached, started_at, finished_at from tasks where run_id = $1

select pool, task from holds where run_id = $1

update run_keys set run_id = $2 where run_id = $1

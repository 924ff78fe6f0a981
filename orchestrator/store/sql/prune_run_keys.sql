delete from run_keys where run_id = $1

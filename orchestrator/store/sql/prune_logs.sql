delete from logs where run_id = $1

select coalesce(max(line), 0) from logs where run_id = $1

delete from events where run_id = $1

delete from tasks where run_id = $1

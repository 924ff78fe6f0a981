delete from holds where run_id = $1

delete from holds where run_id = $1 and task = $2

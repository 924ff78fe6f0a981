delete from waits where run_id = $1

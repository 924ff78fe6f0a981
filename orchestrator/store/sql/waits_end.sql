delete from waits where pool = $1 and run_id = $2

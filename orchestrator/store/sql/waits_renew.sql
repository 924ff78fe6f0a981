update waits set turn = (select now_ms from clock) - $3, since = (select now_ms from clock)
where pool = $1 and run_id = $2

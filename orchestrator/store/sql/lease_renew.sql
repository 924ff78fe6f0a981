update leases set expires_at = (select now_ms from clock) + $3
where run_id = $1 and holder = $2

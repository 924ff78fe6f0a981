delete from leases where run_id = $1 and holder = $2

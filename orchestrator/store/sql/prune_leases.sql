delete from leases where run_id = $1

select run_id from run_keys where client_key = $1

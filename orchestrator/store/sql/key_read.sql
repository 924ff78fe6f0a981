select run_id, request from run_keys where client_key = $1

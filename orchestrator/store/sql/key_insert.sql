insert into run_keys (client_key, run_id, request) values ($1, $2, $3) on conflict (client_key) do nothing

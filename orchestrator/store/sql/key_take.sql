insert into run_keys (client_key, run_id) values ($1, $2) on conflict (client_key) do update set run_id = excluded.run_id

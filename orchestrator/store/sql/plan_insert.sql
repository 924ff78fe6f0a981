insert into plans (hash, flow, body) values ($1, $2, $3) on conflict (hash) do nothing

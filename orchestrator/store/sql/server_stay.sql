insert into servers (name, expires_at, lake) values ($1, (select now_ms from clock) + $2, $3)
on conflict (name) do update set expires_at = excluded.expires_at, lake = excluded.lake

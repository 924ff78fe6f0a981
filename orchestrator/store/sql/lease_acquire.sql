insert into leases (run_id, holder, expires_at)
values ($1, $2, (select now_ms from clock) + $3)
on conflict (run_id) do update
set holder = excluded.holder, expires_at = excluded.expires_at
where leases.holder = excluded.holder or leases.expires_at <= (select now_ms from clock)

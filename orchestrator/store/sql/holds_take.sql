insert into holds (pool, run_id, task, size, since)
values
($1, $2, $3, $4, $5)
on conflict (pool, run_id, task) do update set size = excluded.size, since = excluded.since

insert into tasks (run_id, task, state, attempts, cached, started_at, finished_at)
values
($1, $2, $3, $4, $5, $6, $7)
on conflict (run_id, task) do update
set state = excluded.state, attempts = excluded.attempts, cached = excluded.cached,
  started_at = excluded.started_at, finished_at = excluded.finished_at

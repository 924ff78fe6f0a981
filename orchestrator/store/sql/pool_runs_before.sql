select run_id from runs
where flow = $1 and state in ('queued', 'running') and run_id <> $2
  and (state = 'running' or (created_at, run_id) < ($3, $2))
  and exists (select 1 from live where live.run_id = runs.run_id)
order by created_at, run_id

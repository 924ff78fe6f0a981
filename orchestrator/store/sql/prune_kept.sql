select min(created_at) from runs
where flow = $1 and (
  state in ('queued', 'running') or coalesce(finished_at, created_at) >= $2
  or run_id in (select run_id from datasets)
  or run_id = (select run_id from runs where flow = $1 and state = 'succeeded' order by created_at desc, run_id desc limit 1))

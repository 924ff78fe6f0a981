select run_id from runs
where flow = $1 and state not in ('queued', 'running') and coalesce(finished_at, created_at) < $2
  and run_id not in (select run_id from datasets)
  and run_id <> coalesce(
    (select run_id from runs where flow = $1 and state = 'succeeded' order by created_at desc, run_id desc limit 1), '')
order by created_at, run_id
limit $3

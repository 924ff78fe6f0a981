select
  (select count(*) from holds
    where pool = $1 and run_id <> $3 and exists (select 1 from live where live.run_id = holds.run_id)),
  (select count(*) from runs
    where flow = $2 and state = 'queued' and run_id <> $3 and (created_at, run_id) < ($4, $3)
      and exists (select 1 from live where live.run_id = runs.run_id))

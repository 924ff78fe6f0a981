select run_id from runs
where flow = $1 and logical_time = $2 and params = $3 and coalesce(selection, '') = $5
  and (state in ('queued', 'running') or $4 = 1 and state = 'succeeded')
order by created_at desc
limit 1

select run_id, flow, params, logical_time, origin, force, retry_of, created_at,
  seq, state, started_at, finished_at, error
from runs
where state in ('queued', 'running')
order by created_at desc, run_id desc
limit $1

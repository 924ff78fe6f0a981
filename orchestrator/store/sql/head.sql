select run_id, flow, params, logical_time, origin, force, retry_of, created_at,
  seq, state, started_at, finished_at, error
from runs
where run_id = $1

select run_id, flow, params, logical_time, origin, force, retry_of, created_at,
  seq, state, started_at, finished_at, error
from runs
where flow = $5 and ($1 = '' or state = $1)
  and created_at <= $3 and (created_at < $3 or run_id < $4)
order by created_at desc, run_id desc
limit $2

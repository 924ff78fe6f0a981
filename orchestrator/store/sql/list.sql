select run_id, flow, params, logical_time, origin, force, retry_of, created_at,
  seq, state, started_at, finished_at, error
from runs
where ($1 = '' or flow = $1) and ($2 = '' or state = $2)
  and created_at <= $4 and (created_at < $4 or run_id < $5)
order by created_at desc, run_id desc
limit $3

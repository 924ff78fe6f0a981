select runs.run_id, flow, params, logical_time, origin, force, retry_of, created_at,
  seq, state, started_at, finished_at, error
from runs left join leases on leases.run_id = runs.run_id
where state in ('queued', 'running') and origin <> 'run'
  and (leases.expires_at is null or leases.expires_at <= (select now_ms from clock))
order by created_at, runs.run_id
limit $1

-- Nobody has cured it: neither by a retry nor by a later success of the same, or of the whole, for the same time.
select run_id, flow, params, logical_time, origin, force, retry_of, created_at,
  seq, state, started_at, finished_at, error
from runs
where state = 'failed' and created_at >= $1
  and not exists (
    select 1 from runs later
    where later.flow = runs.flow and later.created_at > runs.created_at
      and (later.retry_of = runs.run_id or (later.state = 'succeeded'
        and coalesce(later.logical_time, -1) = coalesce(runs.logical_time, -1) and later.params = runs.params
        and coalesce(later.selection, '') in ('', coalesce(runs.selection, ''))))
  )
order by created_at desc, run_id desc
limit $2

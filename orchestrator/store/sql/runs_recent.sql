select run_id, flow, params, logical_time, origin, force, retry_of, created_at,
  seq, state, started_at, finished_at, error
from (
  select newest.*, row_number() over (partition by flow order by created_at desc, run_id desc) as place
  from (select * from runs order by created_at desc limit 20000) newest
) placed
where place <= $1
order by created_at desc, run_id desc

select task, cast(sum(finished_at - started_at) / count(*) as bigint)
from tasks
where state = 'succeeded' and cached = 0 and started_at is not null and finished_at is not null
  and run_id in (select run_id from runs where flow = $1 order by created_at desc limit 5)
group by task

select run_id, seq, at, event from events
where run_id in (select run_id from runs order by created_at desc limit $1)
order by at desc, run_id desc, seq desc
limit $2

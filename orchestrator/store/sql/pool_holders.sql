select run_id, task, since from holds
where pool = $1 and exists (select 1 from live where live.run_id = holds.run_id)
order by since, run_id, task

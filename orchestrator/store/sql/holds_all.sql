select pool, run_id, task, since from holds
where exists (select 1 from live where live.run_id = holds.run_id)
order by since, run_id, task

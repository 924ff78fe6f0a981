select pool, count(*), max(size) from holds
where exists (select 1 from live where live.run_id = holds.run_id)
group by pool
having count(*) > max(size)
order by pool

select flow, state, count(*) from runs
where state in ('queued', 'running')
group by flow, state
order by flow, state
limit $1

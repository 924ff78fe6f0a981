select distinct logical_time from runs
where flow = $1 and state = 'succeeded' and selection is null and logical_time between $2 and $3 and params = $4
order by logical_time

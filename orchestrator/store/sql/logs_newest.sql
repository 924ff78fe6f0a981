select line, task, attempt, at, stream, body from logs
where run_id = $1 and task = $2
order by line desc
limit $3

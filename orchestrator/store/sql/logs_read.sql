select line, task, attempt, at, stream, body from logs
where run_id = $1 and ($2 = '' or task = $2) and line > $3
order by line
limit $4

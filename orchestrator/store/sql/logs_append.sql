insert into logs (run_id, line, task, attempt, at, stream, body)
values
($1, $2, $3, $4, $5, $6, $7)

insert into events (run_id, seq, at, event)
values
($1, $2, $3, $4)

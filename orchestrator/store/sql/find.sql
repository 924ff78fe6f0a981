select run_id from runs where substr(run_id, 1, length($1)) = $1 order by run_id limit 2

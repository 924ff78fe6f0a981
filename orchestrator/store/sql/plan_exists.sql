select 1 from plans where hash = $1

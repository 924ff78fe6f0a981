select seq, at, event from events where run_id = $1 and seq > $2 order by seq limit $3

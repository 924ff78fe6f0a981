update runs set seq = seq + 1
where run_id = $1 and state in ('queued', 'running')
returning seq

select 1 from runs where flow = $1 and origin = 'schedule' and state in ('queued', 'running') limit 1

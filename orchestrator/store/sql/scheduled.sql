select run_id from runs where flow = $1 and logical_time = $2 and origin = 'schedule'

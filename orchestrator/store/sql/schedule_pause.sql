update schedules set paused = $2 where flow = $1

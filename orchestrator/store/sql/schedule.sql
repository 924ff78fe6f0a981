select handled, paused from schedules where flow = $1

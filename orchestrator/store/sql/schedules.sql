select flow, handled, paused from schedules

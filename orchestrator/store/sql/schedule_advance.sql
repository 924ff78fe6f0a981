update schedules set handled = $3 where flow = $1 and handled = $2

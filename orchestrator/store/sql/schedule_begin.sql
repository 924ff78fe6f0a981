insert into schedules (flow, handled, paused) values ($1, $2, 0)
on conflict (flow) do nothing

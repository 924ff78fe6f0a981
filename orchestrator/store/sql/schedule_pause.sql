insert into schedules (flow, handled, paused) values ($1, (select now_ms from clock), $2)
on conflict (flow) do update set paused = excluded.paused

insert into durations (flow, task, took_ms)
values
($1, $2, $3)
on conflict (flow, task) do update set took_ms = excluded.took_ms

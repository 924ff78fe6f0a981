insert into waits (pool, run_id, turn, since, seen_at)
values ($1, $2, (select now_ms from clock) - $3, (select now_ms from clock), (select now_ms from clock))
on conflict (pool, run_id) do update set
  turn = case when waits.seen_at > excluded.seen_at - $4 and waits.turn < excluded.turn
    then waits.turn else excluded.turn end,
  since = case when waits.seen_at > excluded.seen_at - $4 then waits.since else excluded.since end,
  seen_at = excluded.seen_at

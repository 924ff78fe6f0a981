select
  (select count(*) from holds
    where pool = $1 and (run_id = $2 or exists (select 1 from live where live.run_id = holds.run_id))),
  (select count(*) from waits
    where pool = $1 and run_id <> $2 and seen_at > (select now_ms from clock) - $4
      and turn < coalesce(
        (select own.turn from waits own
          where own.pool = $1 and own.run_id = $2 and own.seen_at > (select now_ms from clock) - $4),
        (select now_ms from clock) - $3 + 1))

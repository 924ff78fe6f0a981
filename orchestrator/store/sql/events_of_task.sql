-- `_` stands for any letter here, so a few more may come than were meant.
select run_id, seq, at, event from events
where run_id in (select run_id from runs where flow = $1 order by created_at desc limit $2)
  and event like '{"event":"task_%","task":"' || $3 || '",%'
order by run_id, seq

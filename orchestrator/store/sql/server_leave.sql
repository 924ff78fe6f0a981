delete from servers where name = $1 or expires_at <= (select now_ms from clock)

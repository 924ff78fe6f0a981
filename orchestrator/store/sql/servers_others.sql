select name, lake from servers where name <> $1 and expires_at > (select now_ms from clock)

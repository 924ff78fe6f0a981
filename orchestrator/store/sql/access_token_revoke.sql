update access_tokens set revoked_at = (select now_ms from clock) where id = $1 and revoked_at is null

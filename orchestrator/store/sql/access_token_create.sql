insert into access_tokens (id, name, hash, scopes, created_at, expires_at)
select $1, $2, $3, $4, now_ms, now_ms + $5 from clock where true
on conflict (name) where revoked_at is null do nothing

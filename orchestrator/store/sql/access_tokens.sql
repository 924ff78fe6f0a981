select id, name, hash, scopes, created_at, expires_at, revoked_at, now_ms
from access_tokens, clock
order by created_at, name, id

insert into tokens (dataset, token)
values
($1, (select now_ms from clock))
on conflict (dataset) do update
set token = case when tokens.token >= excluded.token then tokens.token + 1 else excluded.token end
returning dataset, token

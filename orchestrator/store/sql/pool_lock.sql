insert into pools (pool) values ($1) on conflict (pool) do update set pool = excluded.pool

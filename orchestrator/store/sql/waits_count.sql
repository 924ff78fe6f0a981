select pool, count(*) from waits
where seen_at > (select now_ms from clock) - $1
group by pool

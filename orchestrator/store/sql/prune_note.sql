insert into pruned (flow, created_at)
select flow, created_at from runs where run_id = $1 and state not in ('queued', 'running')
on conflict (flow) do update set created_at = excluded.created_at where pruned.created_at < excluded.created_at

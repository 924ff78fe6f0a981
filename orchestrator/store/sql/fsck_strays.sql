select 'lease', leases.run_id from leases join runs on runs.run_id = leases.run_id
where runs.state not in ('queued', 'running')
union all
select distinct 'hold', holds.run_id from holds left join runs on runs.run_id = holds.run_id
where runs.state is null or runs.state not in ('queued', 'running')
union all
select 'plan', runs.run_id from runs left join plans on plans.hash = runs.plan where plans.hash is null
union all
select distinct 'run', events.run_id from events left join runs on runs.run_id = events.run_id
where runs.run_id is null

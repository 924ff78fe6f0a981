-- What a run does not share with others of its flow that have the same plan: its parameters, its times, and the
-- fingerprints that follow from them, as JSON of flow::plan::Own. Null where the plan has all of it.
alter table runs add column own text;

-- As before, but a run without a lease counts for 40 seconds even if no server is known: after an outage of the store,
-- servers come back one after the other, and the attempts of those that have not spoken yet are still running. By then
-- a driver that reaches no store has told its attempts to stop.
drop view live;
create view live as
select runs.run_id from runs left join leases on leases.run_id = runs.run_id
where runs.state in ('queued', 'running')
  and (leases.expires_at > (select now_ms from clock)
    or runs.origin <> 'run'
      and (leases.expires_at > (select now_ms from clock) - 40000
        or exists (select 1 from servers where servers.expires_at > (select now_ms from clock))));

delete from plans where not exists (select 1 from runs where runs.plan = plans.hash)

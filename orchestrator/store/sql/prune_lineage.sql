delete from lineage where not exists (select 1 from runs where runs.plan = lineage.plan)

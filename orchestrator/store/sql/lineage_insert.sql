insert into lineage (plan, dataset, body)
values
($1, $2, $3)
on conflict (plan, dataset) do nothing

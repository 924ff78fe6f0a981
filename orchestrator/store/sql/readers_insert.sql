insert into readers (dataset, flow)
values
($1, $2)
on conflict (dataset, flow) do nothing

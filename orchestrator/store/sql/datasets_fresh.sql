select dataset, at from datasets
where version is not null
order by at desc, dataset
limit $1

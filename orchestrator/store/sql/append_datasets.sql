insert into datasets (dataset, version, run_id, location, at, cached)
values
($1, $2, $3, $4, $5, $6)
on conflict (dataset) do update
set version = excluded.version, run_id = excluded.run_id, location = excluded.location,
  at = excluded.at, cached = excluded.cached
where excluded.cached = 0 or datasets.version < excluded.version

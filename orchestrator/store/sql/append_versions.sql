insert into versions (dataset, version, run_id, location, at, cached)
values
($1, $2, $3, $4, $5, $6)
on conflict (dataset, version) do update
set run_id = excluded.run_id, location = excluded.location, at = excluded.at, cached = excluded.cached
where excluded.cached = 0

select dataset, version, run_id, location, at from versions where at <= $1 order by at, version

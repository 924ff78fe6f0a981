select dataset, version, run_id, location, at from versions where dataset = $1 order by version desc limit $2

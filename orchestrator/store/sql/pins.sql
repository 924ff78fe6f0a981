select pins from runs where flow = $1 order by created_at desc, run_id desc limit $2

select run_id from runs where flow = $1 and created_at >= $2 and retry_of = $3 order by created_at desc, run_id desc

insert into runs
  (run_id, flow, plan, pins, params, logical_time, origin, force, retry_of, created_at,
   seq, state, started_at, finished_at, error, own, selection)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
on conflict (flow, logical_time) where origin = 'schedule' do nothing

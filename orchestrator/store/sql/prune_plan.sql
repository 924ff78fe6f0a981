select plans.body from runs join plans on plans.hash = runs.plan
where runs.flow = $1
order by runs.created_at desc, runs.run_id desc
limit 1

select plans.body, runs.pins from runs join plans on plans.hash = runs.plan where runs.run_id = $1

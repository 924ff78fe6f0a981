select plans.body, runs.own, runs.pins from runs join plans on plans.hash = runs.plan where runs.run_id = $1

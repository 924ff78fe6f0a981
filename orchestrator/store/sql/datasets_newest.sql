select dataset, version, run_id, at from datasets

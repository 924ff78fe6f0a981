select datasets.dataset, datasets.version, datasets.run_id, datasets.location, datasets.at, lineage.body
from datasets
left join runs on runs.run_id = datasets.run_id
left join lineage on lineage.plan = runs.plan and lineage.dataset = datasets.dataset
where datasets.dataset = $1

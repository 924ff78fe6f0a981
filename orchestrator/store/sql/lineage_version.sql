select versions.dataset, versions.version, versions.run_id, versions.location, versions.at, lineage.body
from versions
left join runs on runs.run_id = versions.run_id
left join lineage on lineage.plan = runs.plan and lineage.dataset = versions.dataset
where versions.dataset = $1 and versions.version = $2

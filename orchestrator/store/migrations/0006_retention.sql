-- Which flows read which datasets of other flows: their versions stay as long as the readers' runs do.
create table readers (
  dataset text not null,
  flow text not null,
  primary key (dataset, flow)
);

-- When the youngest run of each flow was made that retention has removed.
create table pruned (
  flow text primary key,
  created_at bigint not null
);

create index runs_by_plan on runs (plan);
create index run_keys_by_run on run_keys (run_id);

-- Text is UTF-8 without NUL, times are milliseconds since the epoch, truth values are 0 and 1.

create table plans (
  hash text primary key,
  flow text not null,
  body text not null
);

-- `seq` is the number of the run's last event; from `state` on, what follows from the events.
create table runs (
  run_id text primary key,
  flow text not null,
  plan text not null references plans (hash),
  pins text not null,
  params text not null,
  logical_time bigint,
  origin text not null,
  force bigint not null,
  retry_of text,
  created_at bigint not null,
  seq bigint not null,
  state text not null,
  started_at bigint,
  finished_at bigint,
  error text
);
create unique index runs_scheduled on runs (flow, logical_time) where origin = 'schedule';
create index runs_by_flow on runs (flow, created_at);
create index runs_by_time on runs (created_at);
create index runs_open on runs (state) where state in ('queued', 'running');

-- The journal. Its primary key is the lock between deciders.
create table events (
  run_id text not null,
  seq bigint not null,
  at bigint not null,
  event text not null,
  primary key (run_id, seq)
);

-- What follows from the events of a task, once there are any.
create table tasks (
  run_id text not null,
  task text not null,
  state text not null,
  attempts bigint not null,
  cached bigint not null,
  started_at bigint,
  finished_at bigint,
  primary key (run_id, task)
);

create table leases (
  run_id text primary key,
  holder text not null,
  expires_at bigint not null
);

-- The columns of each dataset that a plan makes, as JSON of flow::lineage::Column.
create table lineage (
  plan text not null references plans (hash),
  dataset text not null,
  body text not null,
  primary key (plan, dataset)
);

-- The highest publish token of each dataset. It only grows.
create table tokens (
  dataset text primary key,
  token bigint not null
);

-- The newest version of each dataset; none for a view.
create table datasets (
  dataset text primary key,
  version bigint,
  run_id text not null,
  location text,
  at bigint not null,
  cached bigint not null
);

-- Which run made which version. `cached`: the run met it and did not make it.
create table versions (
  dataset text not null,
  version bigint not null,
  run_id text not null,
  location text,
  at bigint not null,
  cached bigint not null,
  primary key (dataset, version)
);

create table logs (
  run_id text not null,
  line bigint not null,
  task text not null,
  attempt bigint not null,
  at bigint not null,
  stream text not null,
  body text not null,
  primary key (run_id, line)
);

-- Runs that somebody drives, or will as soon as their lease has run out: what they hold, they hold.
create view live as
select runs.run_id from runs left join leases on leases.run_id = runs.run_id
where runs.state in ('queued', 'running')
  and (leases.expires_at > (select now_ms from clock)
    or runs.origin <> 'run' and exists (select 1 from servers where servers.expires_at > (select now_ms from clock)));

-- A row for each pool in which there ever was somebody: the lock of those who take slots of it.
create table pools (
  pool text primary key
);

-- The slots that are taken: by the attempt of a task that is running, or, with an empty `task`, by a run under way.
-- `size` is that of the pool when it was taken. No more are taken than that, so a shrunk pool empties by and by.
create table holds (
  pool text not null,
  run_id text not null,
  task text not null,
  size bigint not null,
  since bigint not null,
  primary key (pool, run_id, task)
);
create index holds_by_run on holds (run_id);

-- Runs that have found a pool full, since when, and when they last said so. The smallest `turn` goes first.
create table waits (
  pool text not null,
  run_id text not null,
  turn bigint not null,
  since bigint not null,
  seen_at bigint not null,
  primary key (pool, run_id)
);
create index waits_by_run on waits (run_id);

-- How many milliseconds the last attempts of each task took that did something and succeeded, oldest first, as JSON.
create table durations (
  flow text not null,
  task text not null,
  took_ms text not null,
  primary key (flow, task)
);

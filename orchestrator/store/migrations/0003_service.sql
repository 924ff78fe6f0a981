-- How far each flow's schedule has been decided: the last logical time for which there is a run, or that was passed over.
create table schedules (
  flow text primary key,
  handled bigint not null,
  paused bigint not null
);

-- The names that clients gave the runs they asked for.
create table run_keys (
  client_key text primary key,
  run_id text not null
);

-- Who serves this store, and until when that is believed without a word.
create table servers (
  name text primary key,
  expires_at bigint not null
);

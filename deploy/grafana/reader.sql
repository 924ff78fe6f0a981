-- The role of the dashboards: it reads what they show and nothing else, tokens and plans least of all.
--
--   psql --variable=password=… --file=reader.sql postgres://flowctl@…/flowctl
--
-- Run it when a server has opened the store once, which makes the tables, and again after an upgrade.
\set ON_ERROR_STOP on
select current_schema() as schema \gset
select 'create role flowctl_reader login' where not exists (select from pg_roles where rolname = 'flowctl_reader') \gexec
alter role flowctl_reader password :'password';
-- A dashboard that asks too much must not slow down the service.
alter role flowctl_reader set statement_timeout = '30s';
alter role flowctl_reader set default_transaction_read_only = on;
grant usage on schema :"schema" to flowctl_reader;
grant select on runs, events, tasks, logs, leases, datasets, versions, durations, holds, servers, clock to flowctl_reader;

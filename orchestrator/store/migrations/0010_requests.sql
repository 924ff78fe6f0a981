-- What a run was asked for, of all that the client said. Null: nobody knows.
alter table run_keys add column request text;

-- Which lake a service works on. Null: nobody knows.
alter table servers add column lake text;

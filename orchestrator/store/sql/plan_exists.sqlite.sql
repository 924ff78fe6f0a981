-- Differs: no lock, because SQLite has one writer at a time.
select 1 from plans where hash = $1

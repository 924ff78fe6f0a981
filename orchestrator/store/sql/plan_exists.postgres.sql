-- Differs: SQLite has one writer at a time. Here the lock keeps retention from removing the plan before its run is there.
select 1 from plans where hash = $1 for key share

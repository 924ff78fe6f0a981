-- Differs: the two databases have no common word for the time of day. Everything else reads this view.
create view clock as select cast(unixepoch('subsec') * 1000 as bigint) as now_ms;

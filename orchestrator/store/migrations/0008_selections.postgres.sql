-- The `--select` that a run is a part of its flow by. Null: it is whole.
alter table runs add column selection text;
-- Differs: the two databases have no common word for a value inside JSON, and this one reads no JSON with a NUL in it.
update runs set selection = (select cast(body as json) ->> 'selection' from plans where hash = plan)
where plan in (select hash from plans where strpos(body, '"selection":"') > 0 and strpos(body, '\u0000') = 0);

-- The `--select` that a run is a part of its flow by. Null: it is whole.
alter table runs add column selection text;
-- Differs: the two databases have no common word for a value inside JSON.
update runs set selection = (select json_extract(body, '$.selection') from plans where hash = plan)
where plan in (select hash from plans where instr(body, '"selection":"') > 0);

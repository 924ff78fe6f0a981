create table if not exists migrations (number bigint primary key)

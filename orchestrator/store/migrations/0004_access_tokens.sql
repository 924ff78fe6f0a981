-- Who may talk to a service. Of the secret only its hash is kept; a row is never removed, so that a store which has
-- had a token stays closed.
create table access_tokens (
  id text primary key,
  name text not null,
  hash text not null,
  scopes text not null,
  created_at bigint not null,
  expires_at bigint,
  revoked_at bigint
);
create unique index access_tokens_by_name on access_tokens (name) where revoked_at is null;

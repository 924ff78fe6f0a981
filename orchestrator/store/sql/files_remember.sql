insert into files (path, device, inode, size, changed_ns, hash)
values
($1, $2, $3, $4, $5, $6)
on conflict (path) do update
set device = excluded.device, inode = excluded.inode, size = excluded.size,
  changed_ns = excluded.changed_ns, hash = excluded.hash

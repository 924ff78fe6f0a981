select path, device, inode, size, changed_ns, hash from files where path = $1

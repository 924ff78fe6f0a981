select coalesce(max(created_at), 0) from pruned

update leases set expires_at = (select now_ms from clock) where holder = $1

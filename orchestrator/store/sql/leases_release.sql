delete from leases where holder = $1

select o_orderkey, o_custkey, o_orderdate, o_orderstatus, cast(substring(o_orderpriority, 1, 1) as int) as priority
from raw_orders
where o_orderdate is not null

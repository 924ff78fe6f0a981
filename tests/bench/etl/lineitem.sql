select l_orderkey, l_linenumber, l_suppkey, l_quantity, l_returnflag, l_shipdate, trim(l_shipmode) as shipmode,
       l_extendedprice * (1 - l_discount) as net
from raw_lineitem
where l_quantity > 0

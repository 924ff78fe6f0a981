select l.l_orderkey, l.l_linenumber, o.o_orderdate, o.priority, c.c_custkey, c.c_mktsegment, l.shipmode, l.l_quantity, l.net
from lineitem l
join orders o on o.o_orderkey = l.l_orderkey
join customer c on c.c_custkey = o.o_custkey

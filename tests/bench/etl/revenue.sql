select date_part('year', o_orderdate) as year, c_mktsegment, priority, count(*) as lines, sum(net) as revenue
from sales
group by date_part('year', o_orderdate), c_mktsegment, priority

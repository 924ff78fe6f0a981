-- TPC-H 7: volume shipping.
select supp_nation, cust_nation, l_year, sum(volume) as revenue
from (
    select s.n_name as supp_nation,
           c.n_name as cust_nation,
           extract(year from l_shipdate) as l_year,
           l_extendedprice * (1 - l_discount) as volume
    from supplier
    join lineitem on l_suppkey = s_suppkey
    join orders on o_orderkey = l_orderkey
    join customer on c_custkey = o_custkey
    join nation s on s.n_nationkey = s_nationkey
    join nation c on c.n_nationkey = c_nationkey
    where (s.n_name = 'FRANCE' and c.n_name = 'GERMANY' or s.n_name = 'GERMANY' and c.n_name = 'FRANCE')
      and l_shipdate between date '1995-01-01' and date '1996-12-31'
) shipping
group by supp_nation, cust_nation, l_year
order by supp_nation, cust_nation, l_year

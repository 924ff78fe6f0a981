-- TPC-H 2: minimum cost supplier.
select s_acctbal, s_name, n_name, p_partkey, p_mfgr, s_address, s_phone, s_comment
from part
join partsupp on ps_partkey = p_partkey
join supplier on s_suppkey = ps_suppkey
join nation on n_nationkey = s_nationkey
join region on r_regionkey = n_regionkey
where p_size = 15
  and p_type like '%BRASS'
  and r_name = 'EUROPE'
  and ps_supplycost = (
      select min(c.ps_supplycost)
      from partsupp c
      join supplier s on s.s_suppkey = c.ps_suppkey
      join nation n on n.n_nationkey = s.s_nationkey
      join region r on r.r_regionkey = n.n_regionkey
      where c.ps_partkey = p_partkey and r.r_name = 'EUROPE'
  )
order by s_acctbal desc, n_name, s_name, p_partkey
limit 100

-- TPC-H 22: global sales opportunity.
with candidates as (
    select substring(c_phone from 1 for 2) as cntrycode, c_acctbal, c_custkey
    from customer
    where substring(c_phone from 1 for 2) in ('13', '31', '23', '29', '30', '18', '17')
)
select cntrycode, count(*) as numcust, sum(c_acctbal) as totacctbal
from candidates
where c_acctbal > (select avg(c_acctbal) from candidates where c_acctbal > 0.00)
  and not exists (select 1 from orders where o_custkey = c_custkey)
group by cntrycode
order by cntrycode

select c_custkey, upper(c_mktsegment) as c_mktsegment, c_nationkey, c_acctbal
from raw_customer

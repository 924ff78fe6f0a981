-- Aircraft by tail number. The registry spells some manufacturers in several ways.
select tailnum,
       year as built,
       case
           when manufacturer like 'AIRBUS%' then 'AIRBUS'
           when manufacturer like 'MCDONNELL DOUGLAS%' then 'MCDONNELL DOUGLAS'
           else manufacturer
       end as manufacturer,
       model,
       seats
from raw_planes

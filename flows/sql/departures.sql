-- Weather and aircraft are optional: some hours were not measured, some tail numbers are not in the registry.
select f.*,
       w.temp,
       w.precip,
       w.visib,
       case when w.wind_speed <= 200 then w.wind_speed end as wind_speed,
       w.rough,
       p.manufacturer,
       p.built,
       p.seats
from flights f
left join weather w on w.origin = f.origin and w.time_hour = f.time_hour
left join planes p on p.tailnum = f.tailnum

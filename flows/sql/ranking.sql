-- Destinations by mean arrival delay, the carrier with the longest mean delay there, and how quickly the month's
-- late minutes add up from the top. Places with fewer than 30 arrivals say little and are left out.
with arrivals as (
    select month, dest, carrier, arr_delay, greatest(arr_delay, 0) as late_minutes
    from departures
    where arr_delay is not null
),
per_airport as (
    select month,
           dest,
           count(*) as arrivals,
           round(avg(arr_delay), 2) as mean_delay,
           sum(late_minutes) as late_minutes
    from arrivals
    group by month, dest
    having count(*) >= 30
),
per_carrier as (
    select dest,
           carrier,
           row_number() over (partition by dest order by avg(arr_delay) desc, carrier) as place
    from arrivals
    group by dest, carrier
)
select p.month,
       rank() over (order by p.mean_delay desc) as place,
       p.dest,
       a.name as airport,
       p.arrivals,
       p.mean_delay,
       round(p.mean_delay - avg(p.mean_delay) over (), 2) as above_average,
       p.late_minutes,
       round(
           cast(sum(p.late_minutes) over (order by p.mean_delay desc, p.dest rows unbounded preceding) as double)
               / sum(p.late_minutes) over (),
           4
       ) as share_so_far,
       c.carrier as slowest_carrier
from per_airport p
join per_carrier c on c.dest = p.dest and c.place = 1
left join airports a on a.faa = p.dest

-- One row per carrier and day. Delayed means 15 minutes or more after the timetable, as the authorities count.
with timetable as (
    select month, day, carrier, count(*) as scheduled
    from scheduled
    group by month, day, carrier
),
actual as (
    select day,
           carrier,
           count(*) as departed,
           count(*) filter (where dep_delay >= 15) as delayed,
           count(*) filter (where rough) as in_rough_weather,
           sum(dep_delay) as delay_minutes,
           round(avg(dep_delay), 2) as mean_delay
    from departures
    group by day, carrier
)
select t.month,
       t.day,
       t.carrier,
       a.name as airline,
       t.scheduled,
       coalesce(d.departed, 0) as departed,
       t.scheduled - coalesce(d.departed, 0) as cancelled,
       coalesce(d.delayed, 0) as delayed,
       coalesce(d.in_rough_weather, 0) as in_rough_weather,
       coalesce(d.delay_minutes, 0) as delay_minutes,
       d.mean_delay
from timetable t
left join actual d on d.day = t.day and d.carrier = t.carrier
left join airlines a on a.carrier = t.carrier

select flow from schedules order by flow

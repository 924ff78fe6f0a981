select distinct flow from runs

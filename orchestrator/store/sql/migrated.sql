insert into migrations (number) values ($1)

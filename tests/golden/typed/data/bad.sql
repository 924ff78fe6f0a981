select id,
  amout from sales

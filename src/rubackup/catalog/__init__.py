"""PostgreSQL: schema, migrations, named queries. The only package that speaks SQL beside `queue`."""

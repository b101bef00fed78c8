"""Prints the total of a service's CPU flame graph and of one function, read from blocks by DuckDB.

The queries are the recipes of docs/reference/block-format.md.
"""

import sys

import duckdb

bucket, service, function = sys.argv[1:]
blocks = f"{bucket}/anonymous/blocks/*"
total = duckdb.sql(
    f"""
    SELECT sum(s.value)
    FROM '{blocks}/samples.parquet' s
    JOIN '{blocks}/profiles.parquet' p
      ON parse_path(s.filename)[-2] = parse_path(p.filename)[-2] AND s.profile_row = p.profile_row
    WHERE p.service_name = '{service}' AND p.profile_type = 'process_cpu:cpu:nanoseconds:cpu:nanoseconds'
    """
).fetchone()[0]
print(total)

"""Runs the flame graph recipe of docs/reference/block-format.md with DuckDB.

    recipe.py DOCUMENT BLOCKS SERVICE

Prints one line of JSON: for each function its name, its self value and its total.
"""

import json
import re
import sys

import duckdb

document, blocks, service = sys.argv[1:]
recipes = re.findall(r"```sql\n(.*?)```", open(document, encoding="utf-8").read(), re.S)
window = r"BETWEEN '[^']*' AND '[^']*'"
macro = next(r for r in recipes if "CREATE MACRO block" in r)
functions = next(r for r in recipes if "'checkout'" in r and "'*/" in r and re.search(window, r))
functions = functions.replace("'checkout'", f"'{service}'").replace("'*/", f"'{blocks}/*/")
functions = re.sub(window, "BETWEEN '2000-01-01 00:00:00Z' AND '2200-01-01 00:00:00Z'", functions)
duckdb.sql(macro)
print(json.dumps([[name, int(own), int(total)] for name, own, total in duckdb.sql(functions).fetchall()]))

"""Runs the recipes of block-format.md with DuckDB.

    by_duckdb.py DOCUMENT TENANT SERVICE [S3]

TENANT is the tenant's folder, on disk or as s3://…; S3 has the settings of the store as JSON.
"""

import json
import os
import sys

import duckdb

from document import Document, answer

document, tenant, service, *s3 = sys.argv[1:]
document = Document(document)
connection = duckdb.connect()
if s3:
    # As INSTALL httpfs does, but from a package: no download of DuckDB's own.
    import duckdb_extension_httpfs

    package = os.path.dirname(duckdb_extension_httpfs.__file__)
    connection.sql(f"LOAD '{package}/extensions/v{duckdb.__version__}/httpfs.duckdb_extension'")
    secret = document.one("sql", "CREATE SECRET").split(";")[-2]
    for name, value in json.loads(s3[0]).items():
        secret = secret.replace(name, value)
    connection.sql(secret)
views = document.one("sql", "SET VARIABLE tenant").replace("/data/anonymous", tenant)
connection.sql(views)
flame = connection.sql(document.flame(service)).fetchall()
print(json.dumps(answer(flame, connection.sql(document.top()).fetchall())))

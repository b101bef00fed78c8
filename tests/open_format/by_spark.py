"""Runs the recipes of block-format.md with Spark, on this machine alone.

    by_spark.py DOCUMENT SERVICE BLOCK…
"""

import json
import os
import sys

from document import Document, answer

# One process, no page for browsers, few tasks for few rows.
os.environ["PYSPARK_SUBMIT_ARGS"] = (
    "--master local[2] --conf spark.ui.enabled=false --conf spark.sql.shuffle.partitions=2 pyspark-shell"
)
document, service, *blocks = sys.argv[1:]
document = Document(document)
scope = {"blocks": blocks}
exec(document.one("python", "SparkSession"), scope)


def rows(sql):
    return [tuple(row) for row in scope["spark"].sql(sql).collect()]


print(json.dumps(answer(rows(document.flame(service)), rows(document.top()))))

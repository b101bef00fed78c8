"""Runs the recipes of block-format.md with DataFusion.

    by_datafusion.py DOCUMENT SERVICE BLOCK…
"""

import json
import sys

from document import Document, answer

document, service, *blocks = sys.argv[1:]
document = Document(document)
scope = {"blocks": blocks}
exec(document.one("python", "SessionContext()"), scope)


def rows(sql):
    return [tuple(row.values()) for row in scope["ctx"].sql(sql).to_pylist()]


print(json.dumps(answer(rows(document.flame(service)), rows(document.top()))))

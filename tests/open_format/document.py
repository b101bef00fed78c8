"""The recipes of docs/reference/block-format.md, as they stand there, for a service of a test."""

import re

WINDOW = r"BETWEEN \d+ AND \d+"


class Document:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.blocks = re.findall(r"```(\w+)\n(.*?)```", file.read(), re.S)

    def one(self, language, words):
        """The only piece of code in a language that has these words."""
        found = [text for of, text in self.blocks if of == language and words in text]
        assert len(found) == 1, f"{len(found)} {language} recipes have {words!r}"
        return found[0]

    def flame(self, service):
        text = self.one("sql", "path.stack || ';'")
        return over_all_time(text).replace("'checkout'", f"'{service}'")

    def top(self):
        return over_all_time(self.one("sql", "names.is_self"))


def over_all_time(text):
    assert re.search(WINDOW, text), "the recipe has a window"
    return re.sub(WINDOW, f"BETWEEN 0 AND {2**63 - 1}", text).strip().rstrip(";")


def answer(flame, top):
    """What the tests compare: values by stack, and own value and total by service and function."""
    return {
        "flame": {stack: int(value) for stack, value in flame},
        "top": [[service, name, int(own), int(total)] for service, name, own, total in top],
    }

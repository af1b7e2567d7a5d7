"""The page as a reader meets it: its tags, ids, and the rows of its tables."""

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Checks that tags close in order; keeps text, ids and tables' rows."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.tags, self.rows, self.cell, self.attributes = (
            [],
            [],
            set(),
            [],
            None,
            [],
        )
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        self.ids += [v for k, v in attrs if k == "id"]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.cell = ""
        if tag == "small" and self.cell is not None:
            self.cell += " "

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        self.ids += [v for k, v in attrs if k == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self.rows[-1].append(self.cell)
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data


def row(text, label):
    """Cells of the first row with that label: the headline table's."""
    return next(r for r in Page(text).rows if r[0].split()[:1] == [label])


def bounded(x, low=0.0):
    """No end of an interval lies beyond what the measure can be."""
    return x[0], max(x[1], low), min(x[2], 1.0)


def shown(x, sign=""):
    m, low, high = (f"{100 * v:{sign}.1f}".replace("-", "−") for v in x)
    return f"{m} [{low}, {high}]"

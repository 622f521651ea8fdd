"""HTML as a browser would take it, and names that others could choose to have it taken otherwise."""

import html.parser

HOSTILE = "</title></bdi><script>alert(1)</script><img src=x onerror=alert(1)>\"'& {{ 7*7 }}"
TURNED = "invoice\u202efdp.exe\x1b[2J\u200b"


class Page(html.parser.HTMLParser):
    """The text of a page, its tags and attributes; every element that is opened must be closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self._open = [], [], [], []
        self.feed(text)
        self.close()
        assert self._open == []
        self.text = " ".join(" ".join(self.text).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def loads_nothing(page):
    """Whether a browser would show the page without a script and without another file."""
    names = {name for name, _ in page.attributes}
    active = {name for name in names if name.startswith("on")} | names & {"src", "srcset", "action", "data", "style"}
    links = [value for name, value in page.attributes if name == "href" and not value.startswith("#")]
    return not active and links == [] and not {"script", "link", "img", "iframe", "object"} & set(page.tags)

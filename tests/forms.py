"""What a browser would send of a form: name → list of values, read off the page without one."""

from html.parser import HTMLParser


class _Form(HTMLParser):
    def __init__(self, wanted):
        super().__init__()
        self.wanted, self.inside, self.sent = wanted, False, {}
        self.select = self.text = None

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form":
            self.inside = given.get("id") == self.wanted
        if not self.inside or (tag != "option" and ("disabled" in given or not given.get("name"))):
            return
        match tag:
            case "input" if given.get("type") not in ("checkbox", "radio") or "checked" in given:
                self.add(given["name"], given.get("value", "on" if given.get("type") == "checkbox" else ""))
            case "textarea":
                self.text = [given["name"], ""]
            case "select":
                self.select = [given["name"], None]
            case "option" if self.select:
                self.option = given.get("value")
                if self.select[1] is None or "selected" in given:
                    self.select[1] = self.option
                    self.unnamed = self.option is None
            case _:
                pass

    def handle_data(self, text):
        if self.text:
            self.text[1] += text
        elif self.select and getattr(self, "unnamed", False):
            self.select[1], self.unnamed = text.strip(), False

    def handle_endtag(self, tag):
        if tag == "form":
            self.inside = False
        elif tag == "textarea" and self.text:
            self.add(*self.text)
            self.text = None
        elif tag == "select" and self.select:
            if self.select[1] is not None:
                self.add(*self.select)
            self.select = None

    def add(self, name, value):
        self.sent.setdefault(name, []).append(value)


def form_of(answer, wanted):
    """The values of the form with this id, as a dict that a test client posts."""
    reader = _Form(wanted)
    reader.feed(answer.content.decode())
    return reader.sent

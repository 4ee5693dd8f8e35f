"""What sequences are made of: values that are usual and odd, what was made so far, and requests that are seldom broken."""

import json
import re

from steps import step

V2, V3 = "/api/2.0/mlflow", "/api/3.0/mlflow"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"
# Times that the requests give; those of the servers' clocks are later.
T0 = 1_700_000_000_000

KEYS = ["a", "b", "loss", "acc/val", "k w", "m.x", "A", "ü", "a-b:c"]
ODD_KEYS = ["bad*key", "/abs", "../x", "a/../b", "a//b", ".", "..", "", "k" * 250, "k" * 251, "a\n", "a'b", 'a"b', "a`b", 1, None, "日本", "a/", "./a"]
VALUES = [0, 1, -1.5, 0.1, 2, 1e-320, 1e308, "1.5", 3, 0.25, "NaN"]
ODD_VALUES = ["Infinity", "-Infinity", "abc", True, None, [], "", "inf", 2**53 + 1, 1e400, "1e5", " 1", "-0"]
STEPS = [None, 0, 1, 2, 3, -5, "3", 1.0]
ODD_STEPS = [2**63 - 1, 2**63, -(2**63), 1.5, "x", True, None, ""]
TIMES = [T0, T0 + 1, T0 + 2, T0 + 1000, "1700000000003"]
ODD_TIMES = [0, -1, 2**63 - 1, 1.5, None, "x", True, 1e3]
TEXTS = ["x", "y", "1", "Hello", "hello", "a b", "50%", "a_b", "it's", 'say "x"', "ü", "", "0.5", "x" * 300]
ODD_TEXTS = [1, None, True, [], {}, "\u0000", "\ud83d\ude00", "x" * 5999, "';--", "a\\b", "line\nline"]
PAGES = [None, None, None, 1, 2, 3, 100, "2"]
ODD_PAGES = [0, -1, 50001, 1_000_000, "x", 1.5, True, 2**31, 2**63, ""]


def template(path):
    """A path without what is drawn."""
    return re.sub(r"@[a-z_]+\d*@", "{}", path.split("?")[0])


class State:
    """What the steps so far made, and the source of all choices."""

    def __init__(self, source):
        self.source = source
        self.things = {}
        self.count = 0

    def new(self, kind):
        self.count += 1
        name = f"{kind}{self.count}"
        self.things.setdefault(kind, []).append(name)
        return name

    def one(self, kind, odd=0.03):
        """One that was made, seldom one that was not."""
        known = self.things.get(kind, [])
        if not known or self.chance(odd):
            return self.source.choice(["nothing", "f" * 32, "", "@missing0@", "../x", "ä", "999999"]) if self.chance(0.5) or not known else known[0]
        return f"@{self.source.choice(known)}@"

    def chance(self, share):
        return self.source.random() < share

    def pick(self, usual, odd=(), share=0.08):
        if odd and self.chance(share):
            return self.source.choice(odd)
        return self.source.choice(usual)

    def key(self, share=0.06):
        return self.pick(KEYS, ODD_KEYS, share)

    def text(self, share=0.06):
        return self.pick(TEXTS, ODD_TEXTS, share)

    def page(self):
        return self.pick(PAGES, ODD_PAGES, 0.1)

    def some(self, make, most=3):
        return [make() for _ in range(self.source.randint(0, most))]


def drop(body, state, share=0.01):
    """A body without what is none, and seldom without more or with what does not belong there."""
    left = {key: value for key, value in body.items() if value is not None}
    if left and state.chance(share):
        left.pop(state.source.choice(sorted(left)))
    if left and state.chance(share):
        left[state.source.choice(sorted(left))] = state.source.choice([None, 1, "x", [], {}, True, [1], {"a": 1}, 1.5])
    if state.chance(share):
        left["unknown_field"] = {"deep": [1]}
    return left


def call(state, method, path, body=None, query=None, binds=None):
    if path.startswith("/api/") and state.chance(0.05):
        # As MLflow's page asks.
        path = f"/ajax-{path[1:]}"
    if body is not None:
        body = drop(body, state)
        if state.chance(0.01):
            raw = state.source.choice(["", "garbage", "[]", "null", '"x"', "{", json.dumps(body)[:-1], json.dumps(json.dumps(body))])
            return step(method, path, binds=binds, raw=raw)
        if state.chance(0.01):
            headers = {"Content-Type": state.source.choice([None, "text/plain", "application/json; charset=utf-8", "APPLICATION/JSON"])}
            return step(method, path, body, binds=binds, headers=headers)
    if query is not None and state.chance(0.02) and query:
        query = [pair for pair in query if pair is not state.source.choice(query)]
    return step(method, path, body, query, binds)


def scoped(made, path):
    """A search that lost the condition that keeps it to this sequence would find what others made."""
    if "@ns@" in json.dumps(made):
        return made
    mine = "name LIKE '@ns@%'"
    if made["method"] == "GET":
        return step("GET", path, query=[["filter", mine], ["max_results", 100]])
    name = "filter_string" if "/datasets/" in path else "filter"
    return step("POST", path, {name: mine, "max_results": 100})

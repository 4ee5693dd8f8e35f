"""What is sent: requests with names in place of what each server draws by itself.

A step is a dict that JSON can hold, so that a sequence can be kept in a file and sent again:

    method, path        `@run1@` stands for what was bound to that name, `@ns@` for the sequence's own prefix
    query               a list of pairs; names and values are encoded when they are sent
    body                JSON; or `raw`, a text; or `bytes`, hexadecimal
    headers
    binds               {name: place in the answer}, such as {"run1": "/run/info/run_id"}
"""

import http.client
import json
import re
import urllib.parse

NAME = re.compile(r"@([a-z_]+\d*)@")
# What stands for a name that nothing was bound to, since its step was left out or refused.
UNBOUND = "nothing"
# Zeros would be the number of experiment 0 for MLflow.
NO_EXPERIMENT = "999999"


def step(method, path, body=None, query=None, binds=None, **more):
    made = {"method": method, "path": path}
    if body is not None:
        made["body"] = body
    if query:
        made["query"] = [[name, value] for name, value in query if value is not None]
    if binds:
        made["binds"] = binds
    made.update(more)
    return made


def pointed(value, place):
    """What stands at a place such as `/run/info/run_id` or `/records/least/dataset_record_id`; none where there is none."""
    for part in place.strip("/").split("/"):
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                return None
        if isinstance(value, list) and part == "least":
            # Of what stands in an order that is drawn.
            value = min(value, key=lambda item: json.dumps(item.get("inputs"), sort_keys=True), default=None)
        elif isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value


class Answer:
    def __init__(self, status, media, content):
        self.status, self.media, self.content = status, media.split(";")[0].strip(), content
        try:
            self.json = json.loads(content)
        except (ValueError, RecursionError):
            self.json = None


class Server:
    """One of the two; it remembers what its own answers bound."""

    def __init__(self, label, address):
        self.label, self.address = label, address
        self.connection = None
        self.bound = {}
        self.known = {}
        # Ids of experiments are short numbers, which stand for something else elsewhere.
        self.experiments = {}

    def begin(self, prefix):
        self.bound = {"ns": prefix}

    def fill(self, text):
        return NAME.sub(self.meant, text)

    def meant(self, found):
        if found[1] in self.bound:
            return str(self.bound[found[1]])
        if found[1].startswith("exp"):
            return NO_EXPERIMENT
        # Files are kept also of runs that are not there: those of other sequences are not to be among them.
        return self.bound["ns"] + UNBOUND

    def fill_all(self, value):
        if isinstance(value, str):
            return self.fill(value)
        if isinstance(value, list):
            return [self.fill_all(item) for item in value]
        if isinstance(value, dict):
            return {self.fill(key): self.fill_all(member) for key, member in value.items()}
        return value

    def send(self, step):
        path = self.fill(step["path"])
        if step.get("query"):
            pairs = [(self.fill(name), self.fill(str(value))) for name, value in step["query"]]
            path += "?" + urllib.parse.urlencode(pairs)
        headers = {"Content-Type": "application/json"} if step["method"] != "GET" else {}
        content = None
        if "bytes" in step:
            content = bytes.fromhex(step["bytes"])
        elif "raw" in step:
            content = self.fill(step["raw"]).encode()
        elif "body" in step:
            content = json.dumps(self.fill_all(step["body"])).encode()
        headers.update(step.get("headers", {}))
        headers = {name: value for name, value in headers.items() if value is not None}
        answer = self.exchange(step["method"], path, content, headers)
        for name, place in step.get("binds", {}).items():
            found = pointed(answer.json, place)
            if found is not None and answer.status < 300:
                self.bound[name] = found
                if name.startswith("exp"):
                    self.experiments[str(found)] = name
                elif len(str(found)) > 8 and not name.startswith("record"):
                    self.known[str(found)] = name
        return answer

    def exchange(self, method, path, content, headers):
        for attempt in (0, 1):
            if self.connection is None:
                self.connection = http.client.HTTPConnection(*self.address, timeout=60)
            try:
                self.connection.request(method, path, content, headers)
                answer = self.connection.getresponse()
                return Answer(answer.status, answer.headers.get("Content-Type", ""), answer.read())
            except (http.client.HTTPException, OSError):
                self.connection.close()
                self.connection = None
                if attempt:
                    return Answer(0, "", b"the connection was closed")

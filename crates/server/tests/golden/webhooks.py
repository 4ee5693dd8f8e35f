"""Sends requests about webhooks to an MLflow server and writes down its answers, one line a pair.

    python webhooks.py http://127.0.0.1:5000 > mlflow-webhooks-3.17.2.jsonl

The server must be new. Nothing leaves the machine: hosts are addresses, and those that are not refused are never sent to.
"""

import json
import re
import sys
import urllib.error
import urllib.request

BASE = sys.argv[1]
CALLS = "/api/2.0/mlflow/webhooks"
NONE = "00000000-0000-0000-0000-000000000000"
# An address of the documentation's own is not public; this one is, and nothing is sent to it.
PUBLIC = "https://93.184.216.34/hook"
CREATED = {"entity": "REGISTERED_MODEL", "action": "CREATED"}
known = {}


def fill(text):
    for key, value in known.items():
        text = text.replace(key, value)
    return text


def send(name, method, path, body=None, note=None, raw=None):
    text = raw if raw is not None else None if body is None else json.dumps(body)
    headers = {} if text is None else {"Content-Type": "application/json"}
    data = None if text is None else fill(text).encode()
    if data is None and method in ("POST", "PATCH"):
        data = b""
        headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(BASE + fill(path), data=data, method=method, headers=headers)
    try:
        answer = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        answer = error
    told = answer.read().decode()
    if note:
        known[note] = json.loads(told)["webhook"]["webhook_id"]
    for key, value in known.items():
        told = told.replace(value, key)
    pair = {"name": name, "method": method, "path": path}
    if text is not None:
        pair["body"] = text
    pair.update(headers=headers, status=answer.status, content_type=answer.headers.get("Content-Type", ""), answer=told)
    print(json.dumps(pair))


def create(label, note=None, **fields):
    body = {"name": "hook", "url": PUBLIC, "events": [CREATED]}
    body.update(fields)
    send(label, "POST", CALLS, {key: value for key, value in body.items() if value is not ...}, note)


def event(entity, action):
    return {"entity": entity, "action": action}


create("create", "{hook}", description="told", secret="s3cr3t-of-the-hook", status="ACTIVE")
send("get", "GET", CALLS + "/{hook}")
send("get ajax", "GET", "/ajax-api/2.0/mlflow/webhooks/{hook}")
send("get none", "GET", f"{CALLS}/{NONE}")
send("get slash", "GET", f"{CALLS}/")
send("list one", "GET", CALLS)
create("create bare", "{bare}", description=...)
create("same name again", "{again}")
create("disabled", "{disabled}", name="disabled", status="DISABLED", description="")

# All events.
MODEL = [("REGISTERED_MODEL", "CREATED"), ("MODEL_VERSION", "CREATED"), ("MODEL_VERSION_TAG", "SET"),
         ("MODEL_VERSION_TAG", "DELETED"), ("MODEL_VERSION_ALIAS", "CREATED"), ("MODEL_VERSION_ALIAS", "DELETED")]
PROMPT = [("PROMPT", "CREATED"), ("PROMPT_VERSION", "CREATED"), ("PROMPT_TAG", "SET"), ("PROMPT_TAG", "DELETED"),
          ("PROMPT_VERSION_TAG", "SET"), ("PROMPT_VERSION_TAG", "DELETED"), ("PROMPT_ALIAS", "CREATED"),
          ("PROMPT_ALIAS", "DELETED")]
create("all events", "{all}", name="all", events=[event(*pair) for pair in MODEL + PROMPT])
send("get all events", "GET", CALLS + "/{all}")
create("budget", "{budget}", name="budget", events=[event("BUDGET_POLICY", "EXCEEDED")])
create("event twice", events=[CREATED, CREATED])
create("no events", events=[])
create("events missing", events=...)
create("events none", events=None)
create("events no list", events="x")
create("event of texts", events=["registered_model.created"])
create("event lower case", events=[event("registered_model", "created")])
create("event without action", events=[{"entity": "REGISTERED_MODEL"}])
create("event without entity", events=[{"action": "CREATED"}])
create("event empty", events=[{}])
create("event by number", "{number}", name="number", events=[event(2, 1)])
create("event wrong action", events=[event("REGISTERED_MODEL", "SET")])
create("event wrong action of two", events=[event("MODEL_VERSION_TAG", "CREATED")])
create("event unknown entity", events=[event("EXPERIMENT", "CREATED")])
create("event unknown action", events=[event("PROMPT", "STARTED")])
create("event updated", events=[event("PROMPT", "UPDATED")])

# Names.
create("name missing", name=...)
create("name empty", name="")
create("name number", name=5)
create("name space", name="a b")
create("name begins with a dot", name=".a")
create("name ends with a dash", name="a-")
create("name not ascii", name="hoök")
create("name quote", name="it's")
create("name one letter", name="a")
create("name 63", name="a" * 63)
create("name 64", name="a" * 64)
create("name mixed", name="A.b_c-9")
create("name new line", name="a\n")
create("name kelvin", name="\u212a")

# URLs.
create("url missing", url=...)
create("url empty", url="")
create("url space", url="  ")
create("url number", url=5)
create("url http", url="http://93.184.216.34/hook")
create("url ftp", url="ftp://93.184.216.34/hook")
create("url no scheme", url="93.184.216.34/hook")
create("url upper scheme", "{upper}", url="HTTPS://93.184.216.34/hook")
create("url no host", url="https:///hook")
create("url only port", url="https://:443/hook")
create("url loopback", url="https://127.0.0.1/hook")
create("url localhost", url="https://localhost:8443/hook")
create("url short loopback", url="https://127.1/hook")
create("url number as host", url="https://2130706433/hook")
create("url octal", url="https://0177.0.0.1/hook")
create("url private", url="https://10.0.0.1/hook")
create("url private 172", url="https://172.16.0.1/hook")
create("url private 192", url="https://192.168.1.1/hook")
create("url metadata", url="https://169.254.169.254/latest")
create("url shared", url="https://100.64.0.1/hook")
create("url zero", url="https://0.0.0.0/hook")
create("url documentation", url="https://192.0.2.1/hook")
create("url benchmark", url="https://198.18.0.1/hook")
create("url multicast", url="https://224.0.0.1/hook")
create("url broadcast", url="https://255.255.255.255/hook")
create("url reserved", url="https://240.0.0.1/hook")
create("url protocols", url="https://192.0.0.1/hook")
create("url protocols anycast", url="https://192.0.0.9/hook")
create("url v6 loopback", url="https://[::1]/hook")
create("url v6 any", url="https://[::]/hook")
create("url v6 link local", url="https://[fe80::1]/hook")
create("url v6 unique local", url="https://[fd00::1]/hook")
create("url v6 mapped", url="https://[::ffff:127.0.0.1]/hook")
create("url v6 6to4", url="https://[2002:7f00:1::]/hook")
create("url v6 nat64", url="https://[64:ff9b::7f00:1]/hook")
create("url v6 documentation", url="https://[2001:db8::1]/hook")
create("url v6 multicast", url="https://[ff02::1]/hook")
create("url v6 public", url="https://[2606:2800:220:1:248:1893:25c8:1946]/hook")
create("url v6 broken", url="https://[::1/hook")
create("url v6 no address", url="https://[zz]/hook")
create("url unknown host", url="https://no-such-host.invalid/hook")
create("url user", url="https://user:pass@93.184.216.34/hook")
create("url fragment", url="https://93.184.216.34:8443/hook?a=1#f")
create("url port", url="https://93.184.216.34:99999/hook")
create("url port word", url="https://93.184.216.34:x/hook")
create("url long", url=PUBLIC + "/" + "x" * 500)
create("url space inside", url="https://93.184.216.34/a b")
create("url new line", url="https://93.184.216.34/a\nb")

# Other fields.
create("description long", name="long", description="d" * 1001)
create("description number", description=1)
create("secret empty", name="unsigned", secret="")
create("secret number", secret=1)
create("secret null", name="null", secret=None)
create("status unknown", status="PAUSED")
create("status lower case", status="active")
create("status number", name="by-number", status=2)
create("status empty", status="")
send("create nothing", "POST", CALLS, {})
send("create no json", "POST", CALLS, raw="garbage")

# Changing.
send("update nothing", "PATCH", CALLS + "/{hook}", {})
send("update all", "PATCH", CALLS + "/{hook}", {
    "name": "other", "description": "new", "url": "https://93.184.216.34/other", "secret": "another-s3cr3t",
    "status": "DISABLED", "events": [event("PROMPT", "CREATED"), event("PROMPT_TAG", "SET")]})
send("get updated", "GET", CALLS + "/{hook}")
send("update description empty", "PATCH", CALLS + "/{hook}", {"description": ""})
send("update name empty", "PATCH", CALLS + "/{hook}", {"name": ""})
send("update events empty", "PATCH", CALLS + "/{hook}", {"events": []})
send("update secret empty", "PATCH", CALLS + "/{hook}", {"secret": ""})
send("update bad name", "PATCH", CALLS + "/{hook}", {"name": "-"})
send("update bad url", "PATCH", CALLS + "/{hook}", {"url": "https://10.0.0.1"})
send("update bad event", "PATCH", CALLS + "/{hook}", {"events": [event("PROMPT", "SET")]})
send("update bad status", "PATCH", CALLS + "/{hook}", {"status": "PAUSED"})
send("update none", "PATCH", f"{CALLS}/{NONE}", {"name": "x"})
send("update none bad", "PATCH", f"{CALLS}/{NONE}", {"name": "-"})
send("update status", "PATCH", CALLS + "/{hook}", {"status": "ACTIVE"})
send("update event again", "PATCH", CALLS + "/{hook}", {"events": [event("PROMPT", "CREATED"), event("MODEL_VERSION", "CREATED")]})

# Testing.
send("test none", "POST", f"{CALLS}/{NONE}/test", {})
send("test bad event", "POST", CALLS + "/{hook}/test", {"event": event("PROMPT", "SET")})
send("test unknown event", "POST", CALLS + "/{hook}/test", {"event": event("NOTHING", "SET")})
send("test event no object", "POST", CALLS + "/{hook}/test", {"event": "prompt.created"})
send("test empty event", "POST", CALLS + "/{hook}/test", {"event": {}})

# Listing.
send("list two", "GET", CALLS + "?max_results=2")
send("list zero", "GET", CALLS + "?max_results=0")
send("list negative", "GET", CALLS + "?max_results=-1")
send("list 1001", "GET", CALLS + "?max_results=1001")
send("list word", "GET", CALLS + "?max_results=x")
send("list bad token", "GET", CALLS + "?page_token=zzz")

# Deleting.
send("delete", "DELETE", CALLS + "/{hook}")
send("get deleted", "GET", CALLS + "/{hook}")
send("update deleted", "PATCH", CALLS + "/{hook}", {"name": "x"})
send("test deleted", "POST", CALLS + "/{hook}/test", {})
send("delete again", "DELETE", CALLS + "/{hook}")
send("post to one", "POST", CALLS + "/{bare}", {})
send("get test", "GET", CALLS + "/{bare}/test")
send("put", "PUT", CALLS + "/{bare}", {})
send("below v3", "GET", "/api/3.0/mlflow/webhooks")

"""Sends requests about evaluation datasets and scorers to an MLflow server and writes down its answers, one line a pair.

    python datasets.py http://127.0.0.1:5000 > mlflow-datasets-3.17.2.jsonl

The server must be new: the first experiment that is made has the id 1. Needs nothing but Python.
"""

import json
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

BASE = sys.argv[1]
API = "/api/3.0/mlflow"
known = {}


def send(name, method, path, body=None, note=None):
    headers = {}
    data = None
    if body is not None:
        text = json.dumps(body)
        for key, value in known.items():
            text = text.replace(key, value)
        text = re.sub(r"\{x\*(\d+)\}", lambda found: "x" * int(found[1]), text)
        data = text.encode()
        headers["Content-Type"] = "application/json"
    url = path
    for key, value in known.items():
        url = url.replace(key, value)
    request = urllib.request.Request(BASE + url, data=data, method=method, headers=headers)
    try:
        answer = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        answer = error
    text = answer.read().decode()
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if note and found is not None:
        place = found
        for step in note[1]:
            if isinstance(place, str):
                place = json.loads(place)
            place = place[step]
        known[note[0]] = place
    for key, value in known.items():
        if key == "{experiment}":
            text = re.sub(r'("experiment_id": ?)"%s"' % value, r'\1"{experiment}"', text)
            text = re.sub(r'(experiment_ids": ?\[\s*)"%s"' % value, r'\1"{experiment}"', text)
        else:
            text = text.replace(value, key)
    text = re.sub(r"x{100,}", lambda found: "{x*%d}" % len(found[0]), text)
    pair = {"name": name, "method": method, "path": path}
    if body is not None:
        pair["body"] = json.dumps(body)
    pair["headers"] = headers
    pair["status"] = answer.status
    pair["content_type"] = answer.headers.get("Content-Type", "")
    pair["answer"] = text
    print(json.dumps(pair))
    return found


def create(name, note=None, **fields):
    return send(f"create {name}", "POST", f"{API}/datasets/create", {"name": name, **fields}, note)


def merge(name, records, dataset="{qa}"):
    text = records if isinstance(records, str) else json.dumps(records)
    return send(f"merge {name}", "POST", f"{API}/datasets/{dataset}/records", {"records": text})


def records(name, query="", note=None, dataset="{qa}"):
    return send(f"records {name}", "GET", f"{API}/datasets/{dataset}/records{query}", None, note)


def find(name, dataset="{qa}"):
    return send(f"get {name}", "GET", f"{API}/datasets/{dataset}")


def search(name, **fields):
    return send(f"search {name}", "POST", f"{API}/datasets/search", {"max_results": 1000, **fields})


NONE = "d-" + "0" * 32

send("experiment", "POST", "/api/2.0/mlflow/experiments/create", {"name": "evaluations"}, ("{experiment}", ["experiment_id"]))

# Datasets.
create("qa", ("{qa}", ["dataset", "dataset_id"]), experiment_ids=["{experiment}"], tags='{"team": "blue", "mlflow.user": "ann"}')
time.sleep(0.01)
create("other", ("{other}", ["dataset", "dataset_id"]))
time.sleep(0.01)
create("qa again", ("{again}", ["dataset", "dataset_id"]), experiment_ids=["0", "{experiment}"], tags="{}")
send("create no name", "POST", f"{API}/datasets/create", {})
send("create empty name", "POST", f"{API}/datasets/create", {"name": ""})
send("create number name", "POST", f"{API}/datasets/create", {"name": 5})
send("create long name", "POST", f"{API}/datasets/create", {"name": "{x*300}"})
send("create object tags", "POST", f"{API}/datasets/create", {"name": "t", "tags": {"a": "b"}})
create("bad tags", None, tags="{nope")
create("list tags", None, tags="[1]")
create("text experiments", None, experiment_ids="0")
find("new")
find("none", NONE)
find("odd", "nothing")
send("get slash", "GET", f"{API}/datasets/d-1%2F2")
send("experiments", "GET", f"{API}/datasets/{{qa}}/experiment-ids")
send("experiments two", "GET", f"{API}/datasets/{{again}}/experiment-ids")
send("experiments none", "GET", f"{API}/datasets/{NONE}/experiment-ids")

# Tags.
def tags(name, tags, dataset="{other}"):
    text = tags if isinstance(tags, str) else json.dumps(tags)
    return send(f"tags {name}", "PATCH", f"{API}/datasets/{dataset}/tags", {"tags": text})


tags("set", {"team": "red", "n": "1"})
tags("set again", {"team": "green"})
tags("number", {"number": 5, "float": 1.5, "yes": True})
tags("null", {"gone": None})
tags("object", {"object": {"a": 1}})
tags("nothing", {})
tags("bad", "nope")
tags("list", "[1]")
tags("none", {"a": "b"}, NONE)
send("tags missing", "PATCH", f"{API}/datasets/{{other}}/tags", {})
find("tagged", "{other}")
send("untag", "DELETE", f"{API}/datasets/{{other}}/tags/n")
send("untag again", "DELETE", f"{API}/datasets/{{other}}/tags/n")
send("untag none", "DELETE", f"{API}/datasets/{NONE}/tags/n")
find("untagged", "{other}")

# Records.
records("empty")
merge("first", [{"inputs": {"question": "What?", "n": 1}, "expectations": {"answer": "this"}, "tags": {"t": "1"}}])
records("first", "", ("{first}", ["records", 0, "dataset_record_id"]))
find("merged")
merge("same", [{"inputs": {"n": 1, "question": "What?"}, "expectations": {"facts": ["a"]}, "tags": {"mlflow.user": "bob"}}])
records("same")
find("merged again")
merge("other number", [{"inputs": {"question": "What?", "n": 1.0}}])
merge("outputs", [{"inputs": {"n": 1, "question": "What?"}, "outputs": {"answer": "that", "score": 0.5}}])
records("outputs", "?max_results=1")
merge("outputs null", [{"inputs": {"n": 1, "question": "What?"}, "outputs": None}])
records("outputs null", "?max_results=1")
merge("twice", [{"inputs": {"q": 1}}, {"inputs": {"q": 1}, "tags": {"a": "b"}}], "{again}")
records("twice", "", None, "{again}")
merge("text outputs", [{"inputs": {"q": 1}, "outputs": "said"}], "{again}")
records("text outputs", "", None, "{again}")
find("text outputs", "{again}")
merge(
    "sources",
    [
        {"inputs": {"q": 1}, "source": {"source_type": "HUMAN", "source_data": {}}},
    ],
    "{again}",
)
records("sources", "", None, "{again}")
create("kinds", ("{kinds}", ["dataset", "dataset_id"]))
merge(
    "kinds",
    [
        {
            "inputs": {"i": 1, "f": 1.5, "t": "ü\u2603\U0001d11e\n\"", "b": True, "z": None, "l": [1], "o": {"a": {"b": [None]}}},
            "outputs": [1, 2],
            "expectations": {"i": 12345678901234567890123, "e": 1e300, "m": -0.0},
            "tags": {"mlflow.user": "ann"},
            "source": {"source_type": "trace", "source_data": {"trace_id": "tr-1", "session_id": "s"}},
        }
    ],
    "{kinds}",
)
records("kinds", "", None, "{kinds}")
find("kinds", "{kinds}")
create("source", ("{source}", ["dataset", "dataset_id"]))
merge("source document", [{"inputs": {"q": 1}, "source": {"source_type": "DOCUMENT", "source_data": {"source_id": "doc 1"}}}], "{source}")
records("source document", "", None, "{source}")
create("bare", ("{bare}", ["dataset", "dataset_id"]))
merge("bare", [{}], "{bare}")
records("bare", "", None, "{bare}")
find("bare", "{bare}")
create("nan", ("{nan}", ["dataset", "dataset_id"]))
merge("nan", '[{"inputs": {"n": NaN, "m": -Infinity}, "expectations": {"k": Infinity}}]', "{nan}")
records("nan", "", None, "{nan}")
find("nan", "{nan}")
create("nothing", ("{nothing}", ["dataset", "dataset_id"]))
merge("nothing", [], "{nothing}")
find("nothing", "{nothing}")
merge("null expectations", [{"inputs": {"q": 2}, "expectations": None, "tags": None, "source": None}], "{nothing}")
records("null expectations", "", None, "{nothing}")
merge("empty expectations", [{"inputs": {"q": 2}, "expectations": {}, "tags": {}, "source": {}}], "{nothing}")
records("empty expectations", "", None, "{nothing}")

# Records that are none.
for name, wrong in [
    ("not json", "nope"),
    ("not list", '{"inputs": {}}'),
    ("null", "null"),
    ("list of numbers", "[1]"),
    ("list inputs", '[{"inputs": [1]}]'),
    ("null inputs", '[{"inputs": null}]'),
    ("text inputs", '[{"inputs": "x"}]'),
    ("text expectations", '[{"inputs": {"w": 1}, "expectations": "x"}]'),
    ("text tags", '[{"inputs": {"w": 2}, "tags": "x"}]'),
    ("text source", '[{"inputs": {"w": 3}, "source": "x"}]'),
    ("bad source type", '[{"inputs": {"w": 4}, "source": {"source_type": "MOON"}}]'),
    ("odd source", '[{"inputs": {"w": 5}, "source": {"source_type": "CODE", "more": 1}}]'),
    ("no source type", '[{"inputs": {"w": 6}, "source": {"source_data": {}}}]'),
]:
    merge(name, wrong, "{other}")
send("merge number", "POST", f"{API}/datasets/{{other}}/records", {"records": 5})
send("merge list", "POST", f"{API}/datasets/{{other}}/records", {"records": [{"inputs": {}}]})
send("merge missing", "POST", f"{API}/datasets/{{other}}/records", {})
merge("none", [{"inputs": {"q": 1}}], NONE)
find("untouched", "{other}")

# Pages of records.
records("page", "?max_results=1&page_token=")
records("bad token", "?page_token=nope")
records("zero", "?max_results=0")
records("negative", "?max_results=-1")
records("many", "?max_results=1000000")
records("text limit", "?max_results=x")
records("none", "", None, NONE)


# Deleting records.
def delete(name, ids, dataset="{qa}"):
    return send(f"delete {name}", "DELETE", f"{API}/datasets/{dataset}/records", {"dataset_record_ids": ids})


delete("other's", ["{first}"], "{other}")
delete("first", ["{first}", "dr-none"])
delete("again", ["{first}"])
delete("none given", [])
delete("text", "{first}")
delete("numbers", [1])
send("delete missing", "DELETE", f"{API}/datasets/{{qa}}/records", {})
delete("none", ["{first}"], NONE)
find("less")
records("second", "", ("{second}", ["records", 0, "dataset_record_id"]))
delete("last", ["{second}"])
find("no records")
records("no records")
merge("after", [{"inputs": {"n": 1, "question": "What?"}}])
find("after")


# Experiments.
def associate(name, call, ids, dataset="{other}"):
    return send(f"{call} {name}", "POST", f"{API}/datasets/{dataset}/{call}-experiments", {"experiment_ids": ids})


associate("one", "add", ["{experiment}"])
associate("again", "add", ["{experiment}"])
associate("no such", "add", ["4711"])
associate("bad", "add", ["x"])
associate("none", "add", ["0"], NONE)
associate("empty", "add", [])
associate("text", "add", "0")
send("experiments added", "GET", f"{API}/datasets/{{other}}/experiment-ids")
associate("one", "remove", ["{experiment}"])
associate("again", "remove", ["{experiment}"])
associate("none", "remove", ["0"], NONE)
send("experiments removed", "GET", f"{API}/datasets/{{other}}/experiment-ids")


# Searching.
def names(name, **fields):
    return search(name, **fields)


for filter in [
    "name = 'qa'",
    "name != 'qa' AND name != 'kinds'",
    "name LIKE 'q%'",
    "name ILIKE 'Q%'",
    "name IN ('qa', 'other')",
    "created_by = 'ann'",
    "last_updated_by = 'ann'",
    "created_time > 0 AND name = 'qa'",
    "last_update_time < 5",
    "tags.team = 'blue'",
    "tags.team != 'blue'",
    "tags.team LIKE 'g%'",
    "tags.`team` = 'green'",
    "tags.\"team\" = 'green'",
    "name = 'qa' OR name = 'other'",
    "name > 'a'",
    "created_time = 'x'",
    "created_time > 1.5",
    "nothing = 'x'",
    "metrics.a > 1",
    "name = qa",
    "tags.team IN ('blue')",
    "name NOT IN ('qa')",
    "name = 'x'; DROP TABLE evaluation_datasets; --'",
    "digest = 'x'",
]:
    names(filter, filter_string=filter)
for order in ["name", "name DESC", "created_time ASC", "last_update_time", "digest", "tags.team", "name sideways", "created_by"]:
    names(f"order {order}", filter_string="name LIKE 'qa%'", order_by=[order])
search("experiment", experiment_ids=["{experiment}"], order_by=["created_time"])
search("two experiments", experiment_ids=["0", "{experiment}"], order_by=["created_time"])
search("no such experiment", experiment_ids=["4711"])
search("bad experiment", experiment_ids=["x"])
search("text experiments", experiment_ids="0")
search("page", filter_string="name LIKE 'qa%'", max_results=1)
search("bad token", page_token="nope")
search("zero", max_results=0)
search("negative", max_results=-1)
search("too many", max_results=50001)
send("search no limit", "POST", f"{API}/datasets/search", {"filter_string": "name = 'qa'"})
send("search get", "GET", f"{API}/datasets/search?filter_string=name%20%3D%20'qa'&max_results=5")

# Deleting datasets.
send("drop", "DELETE", f"{API}/datasets/{{kinds}}")
send("drop again", "DELETE", f"{API}/datasets/{{kinds}}")
send("drop none", "DELETE", f"{API}/datasets/{NONE}")
find("dropped", "{kinds}")
records("dropped", "", None, "{kinds}")


# Scorers.
def scorer(**fields):
    return json.dumps({"name": "s", "mlflow_version": "3.17.2", "serialization_version": 1, **fields})


JUDGE = scorer(instructions_judge_pydantic_data={"instructions": "Is {{ outputs }} right?", "model": "openai:/gpt-4o"})


def register(label, name, serialized, experiment="{experiment}", note=None):
    body = {"experiment_id": experiment, "name": name, "serialized_scorer": serialized}
    return send(f"register {label}", "POST", f"{API}/scorers/register", body, note)


register("first", "right", JUDGE, note=("{scorer}", ["scorer_id"]))
register("second", "right", scorer(builtin_scorer_class="Safety"))
register("another", "a judge", JUDGE)
register("elsewhere", "right", JUDGE, "0", ("{elsewhere}", ["scorer_id"]))
register("blank", "  ", JUDGE)
register("empty", "", JUDGE)
register("not json", "x", "nope")
register("list", "x", "[]")
register("number", "x", "5")
register("code", "x", scorer(call_source="return 1", call_signature="()", original_func_name="f"))
register("code inside", "x", scorer(ensemble_scorer_data={"scorers": [{"call_source": "return 1"}]}))
register("no call source", "nothing to call", scorer(call_source=None))
register("api base", "x", scorer(third_party_scorer_data={"kwargs": {"completion_kwargs": {"api_base": "http://x"}, "base_url": "y"}}))
register("kwargs list", "x", scorer(third_party_scorer_data={"kwargs": [["api_base", "x"]]}))
register("kwargs pairs", "x", scorer(third_party_scorer_data={"kwargs": {"a": [["api_base", "x"]]}}))
register("third party", "third", scorer(third_party_scorer_data={"module": "m", "kwargs": {"threshold": 1}}))
register("gateway", "x", scorer(instructions_judge_pydantic_data={"model": "gateway:/mine"}))
register("model number", "x", scorer(instructions_judge_pydantic_data={"model": 5}))
register("model blank", "x", scorer(instructions_judge_pydantic_data={"model": " "}))
register("odd model", "odd model", scorer(instructions_judge_pydantic_data={"model": "no provider"}))
register("no experiment", "x", JUDGE, "4711")
register("bad experiment", "x", JUDGE, "x")
send("register no name", "POST", f"{API}/scorers/register", {"experiment_id": "0", "serialized_scorer": JUDGE})
send("register no text", "POST", f"{API}/scorers/register", {"experiment_id": "0", "name": "x"})
send("register object", "POST", f"{API}/scorers/register", {"experiment_id": "0", "name": "x", "serialized_scorer": {"a": 1}})


def scorers(label, call, query):
    return send(f"scorers {label}", "GET", f"{API}/scorers/{call}?{query}")


scorers("list", "list", "experiment_id={experiment}")
scorers("list all", "list", "")
scorers("list of two", "list", "experiment_ids=0&experiment_ids={experiment}")
scorers("list both", "list", "experiment_id=0&experiment_ids=0")
scorers("list none", "list", "experiment_id=4711")
scorers("list of none", "list", "experiment_ids=4711")
scorers("list bad", "list", "experiment_id=x")
scorers("list of bad", "list", "experiment_ids=x")
scorers("versions", "versions", "experiment_id={experiment}&name=right")
scorers("versions none", "versions", "experiment_id={experiment}&name=none")
scorers("versions no name", "versions", "experiment_id={experiment}")
scorers("get", "get", "experiment_id={experiment}&name=right")
scorers("get first", "get", "experiment_id={experiment}&name=right&version=1")
scorers("get ninth", "get", "experiment_id={experiment}&name=right&version=9")
scorers("get zero", "get", "experiment_id={experiment}&name=right&version=0")
scorers("get text", "get", "experiment_id={experiment}&name=right&version=x")
scorers("get none", "get", "experiment_id={experiment}&name=none")
scorers("get no experiment", "get", "name=right")


def online(label, note=None, **fields):
    body = {"experiment_id": "{experiment}", "name": "right", "sample_rate": 0, **fields}
    return send(f"online {label}", "PUT", f"{API}/scorers/online-config", body, note)


online("set", ("{online}", ["config", "online_scoring_config_id"]))
online("filter", ("{online}", ["config", "online_scoring_config_id"]), filter_string="status = 'OK'")
online("text rate", ("{online}", ["config", "online_scoring_config_id"]), sample_rate="0.0")
online("half", None, sample_rate=0.5)
online("too much", None, sample_rate=1.5)
online("below", None, sample_rate=-0.5)
online("word", None, sample_rate="much")
online("null", None, sample_rate=None)
online("list rate", None, sample_rate=[1])
online("bad filter", None, filter_string="nothing = 'x'")
online("number filter", None, filter_string=5)
online("none", None, name="none")
online("no experiment", None, experiment_id="4711")
send("online no name", "PUT", f"{API}/scorers/online-config", {"experiment_id": "0", "sample_rate": 0})
send("online configs", "GET", f"{API}/scorers/online-configs?scorer_ids={{scorer}}&scorer_ids={{elsewhere}}")
send("online configs none", "GET", f"{API}/scorers/online-configs?scorer_ids=none")
send("online configs missing", "GET", f"{API}/scorers/online-configs")


def drop(label, **fields):
    body = {"experiment_id": "{experiment}", "name": "right", **fields}
    return send(f"scorer delete {label}", "DELETE", f"{API}/scorers/delete", body)


drop("second", version=2)
drop("second again", version=2)
drop("text version", version="x")
register("after", "right", JUDGE)
drop("all")
drop("again")
drop("none", name="none")
drop("no experiment", experiment_id="4711")
send("scorer delete no name", "DELETE", f"{API}/scorers/delete", {"experiment_id": "0"})
scorers("deleted", "list", "experiment_id={experiment}")
send("online configs deleted", "GET", f"{API}/scorers/online-configs?scorer_ids={{scorer}}")
register("anew", "right", JUDGE)

# What MLflow takes and ours does not, last: nothing else finds it.
create("no such experiment", None, experiment_ids=["4711"])
create("bad experiment", None, experiment_ids=["x"])

"""Sends requests about issues and label schemas to an MLflow server and writes down its answers, one line a pair.

    python issues.py http://127.0.0.1:5000 > mlflow-issues-3.17.2.jsonl

The server must be new: the first experiment that is made has the id 1.
"""

import json
import sys
import urllib.error
import urllib.request

BASE = sys.argv[1]
API = "/api/3.0/mlflow"
OLD = "/api/2.0/mlflow"
NONE = "f" * 32
known = {}
names = {}


def send(name, method, path, body=None, note=None):
    headers = {"Content-Type": "application/json"}
    text = "" if body is None else json.dumps(body)
    for key, value in known.items():
        text = text.replace(key, value)
        path = path.replace(key, value)
    request = urllib.request.Request(BASE + path, data=text.encode() or None, method=method, headers=headers)
    try:
        answer = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        answer = error
    received = answer.read().decode()
    if note:
        place = json.loads(received)
        for step in note[1]:
            place = place[step]
        known[note[0]] = place
    body = None if body is None else json.dumps(body)
    for key, value in known.items():
        received = received.replace(value, key)
        path = path.replace(value, key)
    names[name] = names.get(name, 0) + 1
    if names[name] > 1:
        name = f"{name} ({names[name]})"
    pair = {"name": name, "method": method, "path": path, **({} if body is None else {"body": body}), "headers": headers, "status": answer.status,
            "content_type": answer.headers.get("Content-Type", ""), "answer": received}
    print(json.dumps(pair))


def issue(name, note=None, **body):
    made = {"experiment_id": "1", "name": name, "description": f"what {name} is"}
    made.update(body)
    made = {k: v for k, v in made.items() if v is not None}
    send(f"create {name}", "POST", f"{API}/issues", made, note=note and (note, ["issue", "issue_id"]))


def search(name, filter=None, **more):
    body = {"experiment_id": "1", **({"filter_string": filter} if filter is not None else {}), **more}
    send(f"search {name}", "POST", f"{API}/issues/search", body)


def schema(name, input, note=None, **body):
    made = {"experiment_id": "1", "name": name, "type": "FEEDBACK", "input": input, **body}
    made = {k: v for k, v in made.items() if v is not None}
    send(f"schema {name[:40]}", "POST", f"{API}/label-schemas/create", made, note=note and (note, ["label_schema", "schema_id"]))


send("experiment", "POST", f"{OLD}/experiments/create", {"name": "issues"})
send("other experiment", "POST", f"{OLD}/experiments/create", {"name": "others"})
send("gone experiment", "POST", f"{OLD}/experiments/create", {"name": "gone"})
send("run", "POST", f"{OLD}/runs/create", {"experiment_id": "1", "run_name": "r", "start_time": 1},
     note=("{run}", ["run", "info", "run_id"]))

# Issues.
issue("bare", "{bare}")
issue("full", "{full}", status="resolved", severity="high", root_causes=["a", "b"], source_run_id="{run}",
      categories=["correctness", "safety"], created_by="ann")
issue("low", "{low}", severity="low")
issue("none", "{none}", severity="not_an_issue", status="rejected")
issue("medium", "{medium}", severity="medium", root_causes=[], categories=[], created_by="", source_run_id="")
issue("elsewhere", "{elsewhere}", experiment_id="2", severity="high")
issue("no experiment", experiment_id="77")
issue("bad experiment", experiment_id="x")
issue("without experiment", experiment_id=None)
issue("without description", description=None)
issue("empty description", description="")
send("create without name", "POST", f"{API}/issues", {"experiment_id": "1", "description": "d"})
send("create empty name", "POST", f"{API}/issues", {"experiment_id": "1", "name": "", "description": "d"})
send("create name of number", "POST", f"{API}/issues", {"experiment_id": "1", "name": 7, "description": "d"})
issue("bad status", status="PENDING")
issue("empty status", status="")
issue("bad severity", severity="urgent")
issue("no run", source_run_id=NONE)
issue("camel", "{camel}", rootCauses=["c"], createdBy="bob")
send("get", "GET", f"{API}/issues/{{full}}")
send("get none", "GET", f"{API}/issues/iss-{NONE}")
send("get page", "GET", f"/ajax-api/3.0/mlflow/issues/{{bare}}")
send("update status", "PATCH", f"{API}/issues/{{bare}}", {"issue_id": "{bare}", "status": "rejected"})
send("update all", "PATCH", f"{API}/issues/{{bare}}", {"issue_id": "{bare}", "status": "pending", "name": "new", "description": "d", "severity": "medium"})
send("update nothing", "PATCH", f"{API}/issues/{{bare}}", {"issue_id": "{bare}"})
send("update empty", "PATCH", f"{API}/issues/{{bare}}", {"issue_id": "{bare}", "name": "", "description": ""})
send("update without id", "PATCH", f"{API}/issues/{{bare}}", {"name": "newer"})
send("update other id", "PATCH", f"{API}/issues/{{bare}}", {"issue_id": "{full}", "name": "newest"})
send("update bad status", "PATCH", f"{API}/issues/{{bare}}", {"issue_id": "{bare}", "status": "open"})
send("update none", "PATCH", f"{API}/issues/iss-{NONE}", {"issue_id": f"iss-{NONE}", "status": "resolved"})

# Traces with issues.
for digit, experiment in ("1", "1"), ("2", "1"), ("3", "2"):
    send(f"trace {digit}", "POST", f"{API}/traces", {"trace": {"trace_info": {
        "trace_id": "tr-" + digit * 32, "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}},
        "request_time": "2025-10-09T08:53:20Z", "state": "OK"}}})
for digit, name in ("1", "{low}"), ("2", "{low}"), ("1", "{low}"), ("1", "{bare}"), ("3", "{bare}"), ("2", "unknown"):
    send(f"assess {digit} {name}", "POST", f"{API}/traces/tr-{digit * 32}/assessments", {"assessment": {
        "assessment_name": name, "issue": {"issue_name": "n"}, "source": {"source_type": "HUMAN", "source_id": "ann"},
        "create_time": "2025-10-09T09:00:00Z", "last_update_time": "2025-10-09T09:00:00Z"}})
send("assess feedback", "POST", f"{API}/traces/tr-{'1' * 32}/assessments", {"assessment": {
    "assessment_name": "{full}", "feedback": {"value": 1}, "source": {"source_type": "HUMAN", "source_id": "ann"},
    "create_time": "2025-10-09T09:00:00Z", "last_update_time": "2025-10-09T09:00:00Z"}})
send("traces of issue", "POST", f"{API}/traces/search", {"filter": "issue.id = '{low}'", "locations": [
    {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "1"}}]})

# Searching.
search("all")
search("counts", include_trace_count=True)
search("no counts", include_trace_count=False)
send("search everywhere", "POST", f"{API}/issues/search", {})
send("search nowhere", "POST", f"{API}/issues/search", {"experiment_id": "77"})
send("search bad experiment", "POST", f"{API}/issues/search", {"experiment_id": "x"})
search("status", "status = 'resolved'")
search("other status", "status != 'pending'")
search("run", "source_run_id = '{run}'")
search("other run", "source_run_id != 'x'")
search("both", "status = 'resolved' AND source_run_id = '{run}'")
search("double quotes", 'status = "rejected"')
search("empty", "")
search("like", "status LIKE 'r%'")
search("severity", "severity = 'high'")
search("garbage", "x y")
search("or", "status = 'a' OR status = 'b'")
search("injection", "status = 'x''; DROP TABLE issues; --'")
search("page", max_results=2)
search("one", max_results=1)
search("zero", max_results=0)
search("negative", max_results=-1)
search("large", max_results=50001)
search("bad token", page_token="x")

# Label schemas.
PASS = {"pass_fail": {"positive_label": "Right", "negative_label": "Wrong"}}
schema("Is it right?", PASS, "{right}", instruction="Look twice.", enable_comment=True)
schema("Which?", {"categorical": {"options": ["a", "b"], "multi_select": True}}, "{which}")
schema("One of", {"categorical": {"options": ["a"]}}, "{one}", type="EXPECTATION")
schema("How many?", {"numeric": {"min_value": 0, "max_value": 5.5}}, "{many}")
schema("Any number", {"numeric": {}}, "{any}")
schema("Why?", {"text": {"max_length": 20}}, "{why}", type=2)
schema("Free", {"text": {}}, "{free}")
schema("Is it right?", PASS)
schema("Other", PASS, "{other}", experiment_id="2")
schema("feedback ", PASS)
schema("x" * 251, PASS)
schema("", PASS)
schema("long instruction", PASS, instruction="x" * 1001)
schema("empty instruction", PASS, "{empty}", instruction="")
schema("no type", PASS, type=None)
schema("bad type", PASS, type="OPINION")
schema("unspecified type", PASS, type="LABEL_SCHEMA_TYPE_UNSPECIFIED")
schema("no input", None)
schema("empty input", {})
schema("two inputs", {**PASS, "text": {}})
schema("unknown input", {"slider": {}})
schema("same labels", {"pass_fail": {"positive_label": "a", "negative_label": "a"}})
schema("no label", {"pass_fail": {"positive_label": "a"}})
schema("long label", {"pass_fail": {"positive_label": "a" * 65, "negative_label": "b"}})
schema("no options", {"categorical": {"options": []}})
schema("many options", {"categorical": {"options": [str(i) for i in range(11)]}})
schema("option twice", {"categorical": {"options": ["a", "b", "a"]}})
schema("empty option", {"categorical": {"options": ["a", ""]}})
schema("long option", {"categorical": {"options": ["a" * 65]}})
schema("backward bounds", {"numeric": {"min_value": 2, "max_value": 1}})
schema("equal bounds", {"numeric": {"min_value": 2, "max_value": 2}})
schema("nan bound", {"numeric": {"min_value": "NaN"}}, "{nan}")
schema("no length", {"text": {"max_length": 0}})
schema("no such experiment", PASS, experiment_id="77")
schema("bad experiment name", PASS, experiment_id="x")
send("schema get", "GET", f"{API}/label-schemas/get?schema_id={{right}}")
send("schema get none", "GET", f"{API}/label-schemas/get?schema_id=ls-{NONE}")
send("schema get without", "GET", f"{API}/label-schemas/get")
send("schema by name", "GET", f"{API}/label-schemas/get-by-name?experiment_id=1&name=Why%3F")
send("schema by name none", "GET", f"{API}/label-schemas/get-by-name?experiment_id=1&name=Nope")
send("schema by name elsewhere", "GET", f"{API}/label-schemas/get-by-name?experiment_id=77&name=Nope")
send("schema by name bad", "GET", f"{API}/label-schemas/get-by-name?experiment_id=x&name=Nope")
send("schema by name feedback", "GET", f"{API}/label-schemas/get-by-name?experiment_id=1&name=Feedback")
send("schemas", "GET", f"{API}/label-schemas/list?experiment_id=2", note=("{default}", ["label_schemas", 0, "schema_id"]))
send("schemas again", "GET", f"{API}/label-schemas/list?experiment_id=2")
send("schemas page", "GET", f"{API}/label-schemas/list?experiment_id=2&max_results=1")
send("schemas zero", "GET", f"{API}/label-schemas/list?experiment_id=2&max_results=0")
send("schemas many", "GET", f"{API}/label-schemas/list?experiment_id=2&max_results=50001")
send("schemas none", "GET", f"{API}/label-schemas/list?experiment_id=77")
send("schemas without", "GET", f"{API}/label-schemas/list")
send("schemas bad token", "GET", f"{API}/label-schemas/list?experiment_id=2&page_token=x")


def update(case, id, **body):
    send(f"schema update {case}", "PATCH", f"{API}/label-schemas/update", {"schema_id": id, **body})


update("name", "{right}", name="Is it good?")
update("same name", "{right}", name="Is it good?")
update("taken name", "{right}", name="Why?")
update("empty name", "{right}", name="")
update("reserved name", "{right}", name="FEEDBACK")
update("instruction", "{right}", instruction="Look once.", enable_comment=False)
update("nothing", "{right}")
update("labels", "{right}", input={"pass_fail": {"positive_label": "Yes", "negative_label": "No"}})
update("other input", "{right}", input={"text": {}})
update("empty input", "{right}", input={})
update("options", "{which}", input={"categorical": {"options": ["c"], "multi_select": True}})
update("single", "{which}", input={"categorical": {"options": ["c"]}})
update("none", f"ls-{NONE}", name="x")
update("default", "{default}", instruction="x")
send("schema update without", "PATCH", f"{API}/label-schemas/update", {"name": "x"})
send("schema delete", "DELETE", f"{API}/label-schemas/delete", {"schema_id": "{one}"})
send("schema delete again", "DELETE", f"{API}/label-schemas/delete", {"schema_id": "{one}"})
send("schema delete by query", "DELETE", f"{API}/label-schemas/delete?schema_id={{any}}")
send("schema deleted by query", "GET", f"{API}/label-schemas/get?schema_id={{any}}")
send("schema delete default", "DELETE", f"{API}/label-schemas/delete", {"schema_id": "{default}"})
send("schema delete without", "DELETE", f"{API}/label-schemas/delete", {})
send("schema deleted", "GET", f"{API}/label-schemas/get?schema_id={{one}}")

# What is in a deleted experiment.
issue("gone", "{gone}", experiment_id="3")
schema("Gone?", PASS, "{goneschema}", experiment_id="3")
send("delete experiment", "POST", f"{OLD}/experiments/delete", {"experiment_id": "3"})
issue("after", experiment_id="3")
send("get gone", "GET", f"{API}/issues/{{gone}}")
send("update gone", "PATCH", f"{API}/issues/{{gone}}", {"issue_id": "{gone}", "status": "resolved"})
send("search gone", "POST", f"{API}/issues/search", {"experiment_id": "3"})
schema("After?", PASS, experiment_id="3")
send("get gone schema", "GET", f"{API}/label-schemas/get?schema_id={{goneschema}}")
send("list gone schemas", "GET", f"{API}/label-schemas/list?experiment_id=3")
update("gone", "{goneschema}", name="x")

# What MLflow takes for none.
issue("bad causes", root_causes="one")
issue("bad cause", root_causes=[1])

"""Asks an MLflow server for figures over traces and writes down its answers, one line a pair.

    python figures.py http://127.0.0.1:5000 > mlflow-figures-3.17.2.jsonl

The server must be new: the first experiment that is made has the id 1.
"""

import json
import re
import sys
import urllib.error
import urllib.request

BASE = sys.argv[1]
API = "/api/3.0/mlflow"
OLD = "/api/2.0/mlflow"
SECOND = 1_000_000_000
# 2025-10-09T08:53:20Z
START = 1_760_000_000 * SECOND
known = {}


def send(name, method, path, body=None, headers=None, note=None):
    headers = {"Content-Type": "application/json", **(headers or {})}
    text = json.dumps(body)
    for key, value in known.items():
        text = text.replace(key, value)
        path = path.replace(key, value)
    request = urllib.request.Request(BASE + path, data=text.encode(), method=method, headers=headers)
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
    body = json.dumps(body)
    for key, value in known.items():
        if len(value) > 1:
            received = received.replace(value, key)
            path = path.replace(value, key)
    pair = {"name": name, "method": method, "path": path, "body": body, "headers": headers, "status": answer.status,
            "content_type": answer.headers.get("Content-Type", ""), "answer": received}
    print(json.dumps(pair))


def attribute(key, value):
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": value}}
    if isinstance(value, float):
        return {"key": key, "value": {"doubleValue": value}}
    if isinstance(value, dict):
        return {"key": key, "value": {"kvlistValue": {"values": [attribute(k, v) for k, v in value.items()]}}}
    return {"key": key, "value": {"stringValue": value}}


def trace_id(number):
    return "tr-" + str(number) * 32


def trace(number, at, took, state="OK", experiment="1", **more):
    """A trace that came `at` seconds after the start."""
    minute, second = divmod(20 + at, 60)
    info = {
        "trace_id": trace_id(number),
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}},
        "request_time": "2025-10-09T%02d:%02d:%06.3fZ" % (8 + (53 + int(minute)) // 60, (53 + int(minute)) % 60, second),
        "state": state,
        **more,
    }
    if took is not None:
        info["execution_duration"] = took
    send(f"trace {number}", "POST", f"{API}/traces", {"trace": {"trace_info": info}})


def spans(number, *made, experiment="1"):
    encoded = []
    for at, (name, start, end, parent, status, attributes) in enumerate(made):
        encoded.append({
            "traceId": str(number) * 32, "spanId": "abcdef"[at] * 16, "name": name, "startTimeUnixNano": str(START + start),
            **({"endTimeUnixNano": str(START + end)} if end is not None else {}),
            **({"parentSpanId": "a" * 16} if parent else {}),
            **({"status": {"code": status}} if status else {}),
            "attributes": [attribute(k, v) for k, v in attributes.items()],
        })
    body = {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "probe"}, "spans": encoded}]}]}
    send(f"spans {number}", "POST", "/v1/traces", body, {"x-mlflow-experiment-id": experiment})


def assess(number, name, value, note=None, kind="feedback", **more):
    said = {kind: value if kind == "issue" or "error" in (value if isinstance(value, dict) else {}) else {"value": value}}
    body = {"assessment": {"assessment_name": name, "source": {"source_type": "HUMAN", "source_id": "ann"}, **said,
                           "create_time": "2025-10-09T09:00:00Z", "last_update_time": "2025-10-09T09:00:00Z", **more}}
    send(f"assess {number} {name} {json.dumps(value)}", "POST", f"{API}/traces/{trace_id(number)}/assessments", body,
         note=note and (note, ["assessment", "assessment_id"]))


def ask(name, view, metric, aggregations, **more):
    listed = [{"aggregation_type": a} if isinstance(a, str) else {"aggregation_type": "PERCENTILE", "percentile_value": a}
              for a in aggregations]
    body = {"experiment_ids": ["1"], "view_type": view, "metric_name": metric, "aggregations": listed, **more}
    send(name, "POST", f"{API}/traces/metrics", body)


send("experiment", "POST", f"{OLD}/experiments/create", {"name": "figures"})
send("other experiment", "POST", f"{OLD}/experiments/create", {"name": "others"})
send("run", "POST", f"{OLD}/runs/create", {"experiment_id": "1", "run_name": "r", "start_time": 1},
     note=("{run}", ["run", "info", "run_id"]))

tokens = "mlflow.trace.tokenUsage"
trace(1, 0, "0.100s", trace_metadata={
    tokens: '{"input_tokens": 10, "output_tokens": 1, "total_tokens": 11, "cache_read_input_tokens": 4}',
    "mlflow.trace.session": "s1", "kind": "a", "mlflow.sourceRun": "{run}"}, tags={"mlflow.traceName": "chat", "team": "blue"})
trace(2, 10, "0.300s", trace_metadata={
    tokens: '{"input_tokens": 20, "output_tokens": "2", "total_tokens": 22.0}', "mlflow.trace.session": "s1", "kind": "b"},
    tags={"mlflow.traceName": "chat", "team": "red"})
trace(3, 70, "1.001s", "ERROR", trace_metadata={
    tokens: '{"input_tokens": 31, "output_tokens": 1.5, "total_tokens": true}', "mlflow.trace.session": "s2"},
    tags={"mlflow.traceName": "search"})
trace(4, 130.5, None, "IN_PROGRESS", trace_metadata={tokens: "no JSON"}, tags={"mlflow.traceName": "chat", "team": "blue"})
trace(5, 3700, "2s", tags={"team": "blue"})
trace(6, 5, "9s", experiment="2", trace_metadata={tokens: '{"input_tokens": 500}'}, tags={"mlflow.traceName": "chat"})
model = {"mlflow.spanType": "CHAT_MODEL", "mlflow.llm.model": "small", "mlflow.llm.provider": "here"}
spans(1, ("root", 0, 100_000_000, False, 1, {"mlflow.spanType": "AGENT"}),
      ("call", 10, 50_999_999, True, 1, {**model, "mlflow.llm.cost": {"input_cost": 0.25, "output_cost": 0.5, "total_cost": 0.75}}),
      ("call", 20, 10_000_019, True, 2, {**model, "mlflow.llm.model": "large", "mlflow.llm.cost": {"input_cost": 1.0, "total_cost": 1}}))
spans(2, ("root", 10 * SECOND, 11 * SECOND, False, 0, {}),
      ("call", 10 * SECOND, 10 * SECOND + 7_000_000, True, 1, {**model, "mlflow.llm.cost": {"input_cost": 0.5, "output_cost": 0, "total_cost": 0.5}}),
      ("tool", 75 * SECOND, 75 * SECOND + 1_999_999, True, 1, {"mlflow.spanType": "TOOL"}))
spans(3, ("root", 70 * SECOND, 71 * SECOND + 1_000_000, False, 2, {"mlflow.spanType": "AGENT"}))
spans(6, ("root", 5 * SECOND, 14 * SECOND, False, 1, {"mlflow.spanType": "AGENT"}), experiment="2")
send("link", "POST", f"{OLD}/traces/link-to-run", {"trace_ids": [trace_id(3)], "run_id": "{run}"})
assess(1, "quality", 4.5)
assess(2, "quality", 2)
assess(3, "quality", True)
assess(3, "quality", "yes")
assess(4, "quality", " No ")
assess(1, "quality", "fine")
assess(1, "fact", "Paris", kind="expectation")
assess(2, "fact", 7, kind="expectation")
assess(2, "broken", {"error": {"error_code": "E", "error_message": "m"}})
assess(2, "many", ["a", 1, None])
assess(1, "old", 10, note="{old}")
assess(1, "old", 20, overrides="{old}", valid=True)
assess(3, "iss-1", {"issue_name": "slow"}, kind="issue")
assess(6, "quality", 100)

DAY = {"start_time_ms": 1_760_000_000_000, "end_time_ms": 1_760_086_400_000}
T, S, A = "TRACES", "SPANS", "ASSESSMENTS"
every = ["SUM", "AVG", "MIN", "MAX", 50, 90.0, 0, 100, 99.9]

# Traces.
ask("traces", T, "trace_count", ["COUNT"])
ask("traces by name", T, "trace_count", ["COUNT"], dimensions=["trace_name"])
ask("traces by state", T, "trace_count", ["COUNT"], dimensions=["trace_status"])
ask("traces by both", T, "trace_count", ["COUNT"], dimensions=["trace_status", "trace_name"])
ask("traces by both the other way", T, "trace_count", ["COUNT"], dimensions=["trace_name", "trace_status"])
ask("traces of two experiments", T, "trace_count", ["COUNT"], experiment_ids=["1", "2"])
ask("traces of none", T, "trace_count", ["COUNT"], experiment_ids=["77"])
ask("sessions", T, "session_count", ["COUNT"])
ask("sessions by minute", T, "session_count", ["COUNT"], time_interval_seconds=60, **DAY)
ask("sessions of none", T, "session_count", ["COUNT"], filters=["trace.status = 'STATE_UNSPECIFIED'"])
ask("traces of no state", T, "trace_count", ["COUNT"], filters=["trace.status = 'STATE_UNSPECIFIED'"])
ask("latency", T, "latency", every[1:])
ask("latency by name", T, "latency", ["AVG", 50], dimensions=["trace_name"])
ask("latency by minute", T, "latency", ["AVG", "MAX"], time_interval_seconds=60, **DAY)
ask("latency by hour and name", T, "latency", ["MIN"], dimensions=["trace_name"], time_interval_seconds=3600, **DAY)
for counted in ("input", "output", "total", "cache_read_input", "cache_creation_input"):
    ask(f"{counted} tokens", T, f"{counted}_tokens", every)
ask("input tokens by name", T, "input_tokens", ["SUM", 25], dimensions=["trace_name"])

# Spans.
ask("spans", S, "span_count", ["COUNT"])
ask("spans by name", S, "span_count", ["COUNT"], dimensions=["span_name"])
ask("spans by type", S, "span_count", ["COUNT"], dimensions=["span_type"])
ask("spans by status", S, "span_count", ["COUNT"], dimensions=["span_status", "span_name"])
ask("spans by model", S, "span_count", ["COUNT"], dimensions=["span_model_name", "span_model_provider"])
ask("spans by minute", S, "span_count", ["COUNT"], time_interval_seconds=60, **DAY)
ask("span latency", S, "latency", every[1:])
ask("span latency by name", S, "latency", ["AVG", "MAX", 50], dimensions=["span_name", "span_status"])
for cost in ("input", "output", "total"):
    ask(f"{cost} cost", S, f"{cost}_cost", every)
ask("cost by model", S, "total_cost", ["SUM"], dimensions=["span_model_name"])
ask("cost by provider", S, "total_cost", ["SUM", "AVG"], dimensions=["span_model_provider"], time_interval_seconds=5, **DAY)

# Assessments.
ask("assessments", A, "assessment_count", ["COUNT"])
ask("assessments by name", A, "assessment_count", ["COUNT"], dimensions=["assessment_name"])
ask("assessments by value", A, "assessment_count", ["COUNT"], dimensions=["assessment_value"])
ask("assessments by both", A, "assessment_count", ["COUNT"], dimensions=["assessment_name", "assessment_value"])
ask("values", A, "assessment_value", every[1:])
ask("values by name", A, "assessment_value", ["AVG", "MIN", "MAX"], dimensions=["assessment_name"])
ask("values by minute", A, "assessment_value", ["AVG"], time_interval_seconds=60, **DAY)

# Filters.
for name, view, metric, filters in [
    ("state", T, "trace_count", ["trace.status = 'OK'"]),
    ("tag", T, "trace_count", ["trace.tag.team = 'blue'"]),
    ("two", T, "trace_count", ["trace.tag.team = 'blue'", "trace.status = 'OK'"]),
    ("name", T, "trace_count", ["trace.tag.`mlflow.traceName` = 'chat'"]),
    ("name bare", T, "trace_count", ["trace.tag.mlflow.traceName = \"chat\""]),
    ("metadata", T, "trace_count", ["trace.metadata.kind = 'a'"]),
    ("session", T, "trace_count", ["trace.metadata.`mlflow.trace.session` = 's1'"]),
    ("run", T, "trace_count", ["trace.metadata.mlflow.sourceRun = '{run}'"]),
    ("tokens", T, "trace_count", ["trace.metadata.`mlflow.trace.tokenUsage` = '{\"input_tokens\": 500}'"]),
    ("state of spans", S, "span_count", ["trace.status = 'ERROR'"]),
    ("span name", S, "span_count", ["span.name = 'call'"]),
    ("span status", S, "span_count", ["span.status = 'ERROR'"]),
    ("span type", S, "span_count", ["span.type = 'AGENT'", "trace.tag.team = 'blue'"]),
    ("run of cost", S, "total_cost", ["trace.metadata.mlflow.sourceRun = '{run}'"]),
    ("tag of assessments", A, "assessment_count", ["trace.tag.team = 'blue'"]),
    ("state of assessments", A, "assessment_count", ["trace.status = 'ERROR'"]),
    ("session of assessments", A, "assessment_count", ["trace.metadata.mlflow.trace.session = 's1'"]),
    ("run of assessments", A, "assessment_count", ["trace.metadata.mlflow.sourceRun = '{run}'"]),
    ("assessment name", A, "assessment_count", ["assessment.name = 'quality'"]),
    ("assessment type", A, "assessment_count", ["assessment.type = 'expectation'"]),
    ("assessment issue", A, "assessment_count", ["assessment.type = 'issue'"]),
    ("no quotes", T, "trace_count", ["trace.status = OK"]),
    ("number", T, "trace_count", ["trace.tag.n = 1"]),
    ("other comparison", T, "trace_count", ["trace.status != 'OK'"]),
    ("like", T, "trace_count", ["trace.tag.team LIKE 'b%'"]),
    ("and", T, "trace_count", ["trace.status = 'OK' AND trace.tag.team = 'blue'"]),
    ("empty", T, "trace_count", [""]),
    ("no key", T, "trace_count", ["trace.tag = 'blue'"]),
    ("superfluous key", T, "trace_count", ["trace.status.x = 'blue'"]),
    ("unknown view", T, "trace_count", ["run.status = 'x'"]),
    ("unknown entity", T, "trace_count", ["trace.colour = 'x'"]),
    ("unknown entity of spans", S, "span_count", ["span.attributes.k = 'x'"]),
    ("bare", T, "trace_count", ["status = 'OK'"]),
    ("garbage", T, "trace_count", ["x y z"]),
    ("open quote", T, "trace_count", ["trace.status = 'OK"]),
    ("span of traces", T, "trace_count", ["span.name = 'call'"]),
    ("assessment of traces", T, "trace_count", ["assessment.name = 'x'"]),
    ("assessment of spans", S, "span_count", ["assessment.name = 'x'"]),
    ("injection", T, "trace_count", ["trace.tag.team = 'blue''; DROP TABLE spans; --'"]),
]:
    ask(f"filter {name}", view, metric, ["SUM" if metric == "total_cost" else "COUNT"], filters=filters)

# Times.
ask("from", T, "trace_count", ["COUNT"], start_time_ms=1_760_000_010_000)
ask("until", T, "trace_count", ["COUNT"], end_time_ms=1_760_000_010_000)
ask("between", S, "span_count", ["COUNT"], start_time_ms=1_760_000_010_000, end_time_ms=1_760_000_070_000)
ask("cost between", S, "total_cost", ["SUM"], start_time_ms=1_760_000_000_000, end_time_ms=1_760_000_000_000)
ask("assessments between", A, "assessment_count", ["COUNT"], start_time_ms=1_760_000_010_000, end_time_ms=1_760_000_070_000)
ask("backward", T, "trace_count", ["COUNT"], start_time_ms=2, end_time_ms=1)
ask("far", T, "trace_count", ["COUNT"], start_time_ms=-(2**63), end_time_ms=2**63 - 1)
ask("far cost", S, "total_cost", ["SUM"], start_time_ms=-(2**63), end_time_ms=2**63 - 1)
ask("interval without times", T, "trace_count", ["COUNT"], time_interval_seconds=60)
ask("interval without end", T, "trace_count", ["COUNT"], time_interval_seconds=60, start_time_ms=0)
ask("no interval", T, "trace_count", ["COUNT"], time_interval_seconds=0)
ask("negative interval", T, "trace_count", ["COUNT"], time_interval_seconds=-60, **DAY)
ask("limit", T, "trace_count", ["COUNT"], dimensions=["trace_name"], max_results=1)
ask("no limit", T, "trace_count", ["COUNT"], dimensions=["trace_name"], max_results=0)
ask("negative limit", T, "trace_count", ["COUNT"], dimensions=["trace_name"], max_results=-1)
ask("token", T, "trace_count", ["COUNT"], page_token="x")

# Faults.
ask("unknown metric", T, "span_count", ["COUNT"])
ask("unknown metric of spans", S, "trace_count", ["COUNT"])
ask("unknown metric of assessments", A, "latency", ["COUNT"])
ask("wrong aggregation", T, "trace_count", ["SUM", "AVG", "COUNT"])
ask("wrong aggregation of sums", T, "latency", ["COUNT", "SUM"])
ask("wrong dimension", T, "trace_count", ["COUNT"], dimensions=["span_name", "x"])
ask("wrong dimension of sessions", T, "session_count", ["COUNT"], dimensions=["trace_name"])
ask("twice", T, "latency", ["AVG", "AVG", 50, 50.0])
ask("dimension twice", T, "trace_count", ["COUNT"], dimensions=["trace_name", "trace_name"])
ask("no aggregations", T, "trace_count", [])
ask("percentile above", T, "latency", [101])
ask("percentile below", T, "latency", [-1])
ask("unknown aggregation", T, "latency", ["MEDIAN"])
ask("unknown view", "RUNS", "latency", ["AVG"])
ask("view by number", 1, "trace_count", ["COUNT"])
ask("no experiments", T, "trace_count", ["COUNT"], experiment_ids=[])
ask("bad experiment", T, "trace_count", ["COUNT"], experiment_ids=["x"])
plain = {"experiment_ids": ["1"], "view_type": T, "metric_name": "latency"}
send("bare percentile", "POST", f"{API}/traces/metrics", {**plain, "aggregations": [{"aggregation_type": "PERCENTILE"}]})
send("percentile of average", "POST", f"{API}/traces/metrics", {**plain, "aggregations": [{"aggregation_type": "AVG", "percentile_value": 5}]})
send("no type", "POST", f"{API}/traces/metrics", {**plain, "aggregations": [{}]})
for left_out in ("experiment_ids", "view_type", "metric_name", "aggregations"):
    body = {**plain, "aggregations": [{"aggregation_type": "AVG"}]}
    del body[left_out]
    send(f"without {left_out}", "POST", f"{API}/traces/metrics", body)
send("page's path", "POST", f"/ajax-api/3.0/mlflow/traces/metrics", {**plain, "aggregations": [{"aggregation_type": "AVG"}]})

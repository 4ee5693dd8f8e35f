"""Sends requests about traces to an MLflow server and writes down its answers, one line a pair.

    python traces.py http://127.0.0.1:5000 > mlflow-traces-3.17.2.jsonl

The server must be new: the first experiment that is made has the id 1. Needs the packages that `mlflow` brings.
"""

import base64
import gzip
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

BASE = sys.argv[1]
T1 = "tr-" + "1" * 32
T2 = "tr-" + "2" * 32
T3 = "tr-" + "3" * 32
NONE = "tr-" + "0" * 32
SECOND = 1_000_000_000
START = 1_760_000_000 * SECOND
known = {}


def send(name, method, path, body=None, headers=None, note=None):
    headers = dict(headers or {})
    raw = b""
    if isinstance(body, bytes):
        raw = body
    elif body is not None:
        text = json.dumps(body)
        for key, value in known.items():
            text = text.replace(key, value)
        raw = text.encode()
        headers.setdefault("Content-Type", "application/json")
    url = path
    for key, value in known.items():
        url = url.replace(key, value)
    request = urllib.request.Request(BASE + url, data=raw or None, method=method, headers=headers)
    if raw == b"" and method in ("POST", "PATCH"):
        request.data = b""
    try:
        answer = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        answer = error
    received = answer.read()
    pair = {"name": name, "method": method, "path": path}
    if isinstance(body, bytes):
        pair["body_base64"] = base64.b64encode(body).decode()
    elif body is not None:
        pair["body"] = json.dumps(body)
    pair["headers"] = headers
    pair["status"] = answer.status
    pair["content_type"] = answer.headers.get("Content-Type", "")
    try:
        text = received.decode()
    except UnicodeDecodeError:
        text = base64.b64encode(received).decode()
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if note and found is not None:
        place = found
        for step in note[1]:
            place = place[step]
        known[note[0]] = place
    for key, value in known.items():
        if key == "{experiment}":
            text = re.sub(r'("experiment_id": ?)"%s"' % value, r'\1"{experiment}"', text)
        else:
            text = text.replace(value, key)
    pair["answer"] = text
    print(json.dumps(pair))
    return found


def attribute(key, value):
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": value}}
    if isinstance(value, float):
        return {"key": key, "value": {"doubleValue": value}}
    if isinstance(value, list):
        return {"key": key, "value": {"arrayValue": {"values": [attribute("", v)["value"] for v in value]}}}
    if isinstance(value, dict):
        return {"key": key, "value": {"kvlistValue": {"values": [attribute(k, v) for k, v in value.items()]}}}
    return {"key": key, "value": {"stringValue": value}}


def span(trace, id, name, start, end, parent=None, attributes=None, status=None, events=(), links=()):
    made = {
        "traceId": trace,
        "spanId": id,
        "name": name,
        "startTimeUnixNano": str(START + start),
        "endTimeUnixNano": str(START + end),
        "attributes": [attribute(k, v) for k, v in (attributes or {}).items()],
    }
    if parent:
        made["parentSpanId"] = parent
    if status:
        made["status"] = status
    if events:
        made["events"] = list(events)
    if links:
        made["links"] = list(links)
    return made


def export(spans, resource=None):
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [attribute(k, v) for k, v in (resource or {}).items()]},
                "scopeSpans": [{"scope": {"name": "probe"}, "spans": spans}],
            }
        ]
    }


def binary(exported):
    from google.protobuf.json_format import ParseDict

    def swap(value):
        if isinstance(value, dict):
            return {
                k: base64.b64encode(bytes.fromhex(v)).decode()
                if k in ("traceId", "spanId", "parentSpanId")
                else swap(v)
                for k, v in value.items()
            }
        if isinstance(value, list):
            return [swap(v) for v in value]
        return value

    return ParseDict(swap(exported), ExportTraceServiceRequest()).SerializeToString()


API = "/api/3.0/mlflow"
OLD = "/api/2.0/mlflow"


def info(trace, experiment="{experiment}", **more):
    made = {
        "trace_id": trace,
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}},
        "request_time": "2025-10-09T08:53:20.123Z",
        "execution_duration": "1.500s",
        "state": "OK",
    }
    made.update(more)
    return {"trace": {"trace_info": made}}


def search(name, filter=None, **more):
    body = {"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "{experiment}"}}]}
    if filter is not None:
        body["filter"] = filter
    body.update(more)
    send(name, "POST", f"{API}/traces/search", body)


send("experiment", "POST", f"{OLD}/experiments/create", {"name": "traces"}, note=("{experiment}", ["experiment_id"]))
send("run", "POST", f"{OLD}/runs/create", {"experiment_id": "{experiment}", "run_name": "r", "start_time": 1},
     note=("{run}", ["run", "info", "run_id"]))

# Starting.
send("start", "POST", f"{API}/traces", info(
    T1,
    client_request_id="client-1",
    request_preview='{"q": "what"}',
    response_preview="answer",
    trace_metadata={
        "mlflow.sourceRun": "{run}", "mlflow.trace.session": "s1", "mlflow.trace.user": "ann", "kind": "a",
        "mlflow.trace.tokenUsage": '{"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}',
        "mlflow.trace.cost": '{"input_cost": 0.5, "output_cost": 0.25, "total_cost": 0.75}',
    },
    tags={"mlflow.traceName": "first", "team": "blue"},
))
send("get info", "GET", f"{API}/traces/{T1}")
send("get info none", "GET", f"{API}/traces/{NONE}")
send("start empty", "POST", f"{API}/traces", {})
send("start no experiment", "POST", f"{API}/traces", info(T2, experiment="999999"))
send("start second", "POST", f"{API}/traces", info(T2, tags={"team": "blue"}, request_preview="kept"))
send("start bare", "POST", f"{API}/traces", {"trace": {"trace_info": {
    "trace_id": T2, "trace_location": {"mlflow_experiment": {"experiment_id": "{experiment}"}},
    "request_time": "2025-10-09T08:53:21Z"}}})
send("start again", "POST", f"{API}/traces", info(T2, state="ERROR", tags={"team": "red", "mlflow.traceName": "second"},
     execution_duration="2s", trace_metadata={"kind": "b"}, assessments=[{
         "assessment_name": "given", "source": {"source_type": "CODE", "source_id": "probe"},
         "feedback": {"value": True}, "create_time": "2025-10-09T08:53:22Z", "last_update_time": "2025-10-09T08:53:22Z",
     }]), note=("{given}", ["trace", "trace_info", "assessments", 0, "assessment_id"]))
send("get partial none", "GET", f"{API}/traces/get?trace_id={NONE}&allow_partial=true")
send("get without spans", "GET", f"{API}/traces/get?trace_id={T1}&allow_partial=true")
send("batch without spans", "GET", f"{API}/traces/batchGet?trace_ids={T1}&trace_ids={T2}")

# Spans.
child = span("1" * 32, "b" * 16, "call", 100, 900_000_000, parent="a" * 16, attributes={
    "mlflow.spanType": "CHAT_MODEL", "mlflow.spanInputs": {"messages": [{"role": "user", "content": "hé"}]},
    "mlflow.chat.tokenUsage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}, "n": 3, "x": 1.5, "b": True,
    "list": ["a", "b"], "map": {"k": "v"}, "gen_ai.request.model": "gpt",
}, events=[{"name": "note", "timeUnixNano": str(START + 5), "attributes": [attribute("e", "1")]}],
   links=[{"traceId": "2" * 32, "spanId": "c" * 16, "attributes": [attribute("l", "1")]}])
root = span("1" * 32, "a" * 16, "root", 0, SECOND, attributes={
    "mlflow.spanType": "AGENT", "mlflow.spanInputs": {"q": "what"}, "mlflow.spanOutputs": "answer",
}, status={"code": "STATUS_CODE_OK"})
OTLP = {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": "1"}
send("otlp", "POST", "/v1/traces", binary(export([child, root], {"service.name": "probe", "telemetry.sdk.name": "x"})), OTLP)
send("otlp no experiment header", "POST", "/v1/traces", binary(export([child])), {"Content-Type": "application/x-protobuf"})
send("otlp bad type", "POST", "/v1/traces", b"x", {**OTLP, "Content-Type": "text/plain"})
send("otlp garbage", "POST", "/v1/traces", b"\xff\xff\xff", OTLP)
send("otlp empty", "POST", "/v1/traces", b"", OTLP)
send("otlp bad encoding", "POST", "/v1/traces", b"xx", {**OTLP, "Content-Encoding": "br"})
send("otlp bad gzip", "POST", "/v1/traces", b"xx", {**OTLP, "Content-Encoding": "gzip"})
send("otlp no such experiment", "POST", "/v1/traces", binary(export([span("9" * 32, "a" * 16, "x", 0, 1)])), {**OTLP, "x-mlflow-experiment-id": "777"})
send("otlp no span id", "POST", "/v1/traces", binary(export([span("9" * 32, "", "x", 0, 1)])), OTLP)
send("otlp json gzip", "POST", "/v1/traces", gzip.compress(json.dumps(export([
    span("3" * 32, "d" * 16, "tool", 50_000_000, 200_000_000, parent="e" * 16, attributes={
        "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 8, "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-x", "gen_ai.provider.name": "openai",
        "gen_ai.input.messages": '[{"role":"user"}]', "gen_ai.output.messages": '[{"role":"assistant"}]'}),
], {"service.name": "svc", "deployment.environment": "test", "mlflow.x": "no"})).encode(), mtime=0),
     {**OTLP, "Content-Type": "application/json", "Content-Encoding": "gzip"})
send("in progress", "GET", f"{API}/traces/{T3}")
send("get in progress", "GET", f"{API}/traces/get?trace_id={T3}&allow_partial=true")
send("batch in progress", "GET", f"{API}/traces/batchGet?trace_ids={T3}")
send("otlp root later", "POST", "/v1/traces", json.dumps(export([
    span("3" * 32, "e" * 16, "outer", 0, 3 * SECOND, attributes={
        "session.id": "s3", "user.id": "bob", "mlflow.traceTag.colour": "green", "mlflow.traceTag.mlflow.traceName": "named",
        "mlflow.spanInputs": json.dumps({"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "no"}]}),
        "mlflow.spanOutputs": json.dumps({"choices": [{"message": {"role": "assistant", "content": "yes"}}]}),
        "openinference.span.kind": "CHAIN", "long": "z" * 50,
    }, status={"code": 2, "message": "failed"}),
])).encode(), {**OTLP, "Content-Type": "application/json"})
send("rooted", "GET", f"{API}/traces/{T3}")
send("get whole", "GET", f"{API}/traces/get?trace_id={T3}")
send("get first", "GET", f"{API}/traces/get?trace_id={T1}")
send("info first", "GET", f"{API}/traces/{T1}")
send("batch", "GET", f"{API}/traces/batchGet?trace_ids={T3}&trace_ids={T1}&trace_ids={NONE}")
send("batch infos", "POST", f"{API}/traces/batchGetInfos", {"trace_ids": [T3, NONE, T1]})
send("batch no ids", "GET", f"{API}/traces/batchGet")
send("artifact", "GET", f"/ajax-api/2.0/mlflow/get-trace-artifact?request_id={T3}")
send("artifact none", "GET", f"/ajax-api/2.0/mlflow/get-trace-artifact?request_id={NONE}")
send("artifact no id", "GET", "/ajax-api/2.0/mlflow/get-trace-artifact")

# Tags.
send("set tag", "PATCH", f"{API}/traces/{T1}/tags", {"key": "team", "value": "green"})
send("set tag no key", "PATCH", f"{API}/traces/{T1}/tags", {"value": "green"})
send("set tag none", "PATCH", f"{API}/traces/{NONE}/tags", {"key": "team", "value": "green"})
send("set tag blocked", "PATCH", f"{API}/traces/{T1}/tags", {"key": "mlflow.trace.spansLocation", "value": "x"})
send("set tag old", "PATCH", f"{OLD}/traces/{T1}/tags", {"key": "old", "value": "1"})
send("set tag bad key", "PATCH", f"{API}/traces/{T1}/tags", {"key": "a\nb", "value": "1"})
send("set name", "PATCH", f"{API}/traces/{T1}/tags", {"key": "mlflow.traceName", "value": "renamed"})
send("delete tag", "DELETE", f"{API}/traces/{T1}/tags?key=old")
send("delete tag body", "DELETE", f"{API}/traces/{T1}/tags", {"key": "old"})
send("delete tag no key", "DELETE", f"{API}/traces/{T1}/tags")
send("delete tag none", "DELETE", f"{API}/traces/{NONE}/tags?key=x")
send("tagged", "GET", f"{API}/traces/{T1}")

# Assessments.
feedback = {"assessment_name": "quality", "source": {"source_type": "HUMAN", "source_id": "ann"},
            "feedback": {"value": 4.5}, "rationale": "fine", "metadata": {"m": "1"},
            "create_time": "2025-10-09T08:53:30Z", "last_update_time": "2025-10-09T08:53:30Z", "span_id": "a" * 16}
send("assess", "POST", f"{API}/traces/{T1}/assessments", {"assessment": feedback}, note=("{quality}", ["assessment", "assessment_id"]))
send("assess expectation", "POST", f"{API}/traces/{T1}/assessments", {"assessment": {
    "assessment_name": "expected", "source": {"source_type": "HUMAN", "source_id": "ann"},
    "expectation": {"value": "Paris"}, "create_time": "2025-10-09T08:53:31Z", "last_update_time": "2025-10-09T08:53:31Z"}},
    note=("{expected}", ["assessment", "assessment_id"]))
send("assess structure", "POST", f"{API}/traces/{T3}/assessments", {"assessment": {
    "assessment_name": "facts", "source": {"source_type": "HUMAN", "source_id": "ann"},
    "expectation": {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": '["a", {"b": 1}]'}},
    "create_time": "2025-10-09T08:53:31Z", "last_update_time": "2025-10-09T08:53:31Z"}},
    note=("{facts}", ["assessment", "assessment_id"]))
send("assess list", "POST", f"{API}/traces/{T3}/assessments", {"assessment": {
    "assessment_name": "listed", "source": {"source_type": "LLM_JUDGE", "source_id": "j"}, "feedback": {"value": ["a", 1, True, None]},
    "create_time": "2025-10-09T08:53:32Z", "last_update_time": "2025-10-09T08:53:32Z"}},
    note=("{listed}", ["assessment", "assessment_id"]))
send("assess error", "POST", f"{API}/traces/{T3}/assessments", {"assessment": {
    "assessment_name": "broken", "source": {"source_type": "CODE", "source_id": "j"},
    "feedback": {"error": {"error_code": "E", "error_message": "m", "stack_trace": "s"}},
    "create_time": "2025-10-09T08:53:33Z", "last_update_time": "2025-10-09T08:53:33Z"}},
    note=("{broken}", ["assessment", "assessment_id"]))
send("assess yes", "POST", f"{API}/traces/{T2}/assessments", {"assessment": {
    "assessment_name": "quality", "source": {"source_type": "LLM_JUDGE", "source_id": "j"}, "feedback": {"value": "yes"},
    "create_time": "2025-10-09T08:53:34Z", "last_update_time": "2025-10-09T08:53:34Z"}},
    note=("{yes}", ["assessment", "assessment_id"]))
send("assess none", "POST", f"{API}/traces/{NONE}/assessments", {"assessment": feedback})
send("assess empty", "POST", f"{API}/traces/{T1}/assessments", {})
send("assess no value", "POST", f"{API}/traces/{T1}/assessments", {"assessment": {"assessment_name": "x", "source": {"source_type": "HUMAN", "source_id": "a"}}})
send("assess no source", "POST", f"{API}/traces/{T1}/assessments", {"assessment": {k: v for k, v in feedback.items() if k != "source"}},
     note=("{sourceless}", ["assessment", "assessment_id"]))
send("override", "POST", f"{API}/traces/{T1}/assessments", {"assessment": {**feedback, "feedback": {"value": 2}, "overrides": "{quality}", "valid": True}},
     note=("{override}", ["assessment", "assessment_id"]))
send("override none", "POST", f"{API}/traces/{T1}/assessments", {"assessment": {**feedback, "overrides": "a-none"}})
send("get assessment", "GET", f"{API}/traces/{T1}/assessments/{{quality}}")
send("get assessment none", "GET", f"{API}/traces/{T1}/assessments/a-none")
send("get assessment no trace", "GET", f"{API}/traces/{NONE}/assessments/a-none")
send("update assessment", "PATCH", f"{API}/traces/{T1}/assessments/{{expected}}", {
    "assessment": {"assessment_name": "answer", "expectation": {"value": "Rome"}, "metadata": {"n": "2"}},
    "update_mask": "assessmentName,expectation,metadata"})
send("update wrong kind", "PATCH", f"{API}/traces/{T1}/assessments/{{expected}}", {
    "assessment": {"feedback": {"value": 1}}, "update_mask": "feedback"})
send("update no mask", "PATCH", f"{API}/traces/{T1}/assessments/{{expected}}", {"assessment": {"rationale": "x"}})
send("update none", "PATCH", f"{API}/traces/{T1}/assessments/a-none", {"assessment": {"rationale": "x"}, "update_mask": "rationale"})
send("assessed", "GET", f"{API}/traces/{T1}")
send("delete assessment", "DELETE", f"{API}/traces/{T1}/assessments/{{override}}")
send("delete assessment again", "DELETE", f"{API}/traces/{T1}/assessments/{{override}}")
send("delete assessment no trace", "DELETE", f"{API}/traces/{NONE}/assessments/a-none")
send("restored", "GET", f"{API}/traces/{T1}/assessments/{{quality}}")

# Links.
send("link run", "POST", f"{OLD}/traces/link-to-run", {"trace_ids": [T2, NONE], "run_id": "{run}"})
send("link run again", "POST", f"{OLD}/traces/link-to-run", {"trace_ids": [T2], "run_id": "{run}"})
send("link no run", "POST", f"{OLD}/traces/link-to-run", {"trace_ids": [T2], "run_id": "0" * 32})
send("link too many", "POST", f"{OLD}/traces/link-to-run", {"trace_ids": ["tr-%d" % i for i in range(101)], "run_id": "{run}"})
send("link prompts", "POST", f"{OLD}/traces/link-prompts", {"trace_id": T2, "prompt_versions": [{"name": "p", "version": "3"}]})
send("link prompts none", "POST", f"{OLD}/traces/link-prompts", {"trace_id": NONE, "prompt_versions": [{"name": "p", "version": "3"}]})
send("linked", "GET", f"{API}/traces/{T2}")

# Searching.
search("search all")
search("search empty filter", "")
search("search page", max_results=2)
search("search zero", max_results=0)
search("search too many", max_results=501)
search("search bad token", page_token="???")
send("search no locations", "POST", f"{API}/traces/search", {})
send("search none there", "POST", f"{API}/traces/search", {"locations": [{"mlflow_experiment": {"experiment_id": "4242"}}]})
for filter in [
    "status = 'OK'", "trace.status = 'ERROR'", "status IN ('OK', 'ERROR')", "attributes.status != 'OK'", "status LIKE 'O%'",
    "name = 'second'", "trace.name ILIKE 'SEC%'", "tags.team = 'red'", "tag.team != 'red'", "tags.team IS NULL",
    "tags.nothing IS NOT NULL", "metadata.kind = 'b'", "request_metadata.kind LIKE '%'", "metadata.`mlflow.trace.session` = 's3'",
    "run_id = '{run}'", "timestamp > 1760000000500", "timestamp_ms <= 1760000000123", "trace.execution_time_ms >= 2000",
    "execution_time < 2000", "end_time > 1760000002500", f"request_id = '{T1}'", f"trace.request_id IN ('{T1}', '{T2}')",
    "client_request_id = 'client-1'", "prompt = 'p/3'", "prompt = 'p'", "prompt != 'p/3'",
    "span.name = 'call'", "span.type = 'AGENT'", "span.type IN ('AGENT', 'CHAIN')", "span.status = 'ERROR'", "span.status = 'OK'",
    "span.name = 'root' AND span.type = 'CHAT_MODEL'", "span.attributes.n LIKE '%3%'", "span.attributes.long LIKE '%zzz%'",
    "span.attributes.gen_ai.request.model LIKE '%gpt%'", "span.content LIKE '%hé%'", "trace.text ILIKE '%ANSWER%'", "text LIKE '%answer%'",
    "feedback.quality = 4.5", "feedback.quality = '4.5'", "feedback.quality > 4", "feedback.quality = 'yes'", "feedback.quality IS NULL",
    "feedback.quality IS NOT NULL", "feedback.given = 'true'", "feedback.quality > '4'", "expectation.answer = 'Rome'", "expectation.answer LIKE '%ome%'",
    "status = 'OK' OR status = 'ERROR'", "nothing = 'x'", "metrics.a > 1", "timestamp = 'x'", "status > 'OK'", "span.nothing = 'x'",
    "span.content = 'x'", "tags.team RLIKE '^r.d$'", "span.name RLIKE 'c.ll'", "tags.team IN ('red')", "status = OK", "issue.id = 'i'",
    "trace.client_request_id LIKE 'client%'", "timestamp > 1760000000500 AND status = 'ERROR' AND tags.team = 'red'",
]:
    search("search " + filter, filter)
for order in [["timestamp"], ["timestamp ASC"], ["execution_time DESC"], ["name"], ["tags.team DESC"], ["status"], ["request_id DESC"],
              ["metadata.kind"], ["experiment_id"], ["run_id"], ["timestamp", "timestamp DESC"], ["nothing"], ["span.name"], ["metadata.`mlflow.trace.tokenUsage`"]]:
    search("order " + ", ".join(order), order_by=order)
send("correlation", "POST", f"{API}/traces/calculate-filter-correlation", {
    "experiment_ids": ["{experiment}"], "filter_string1": "status = 'OK'", "filter_string2": "tags.team = 'green'"})
send("correlation base", "POST", f"{API}/traces/calculate-filter-correlation", {
    "experiment_ids": ["{experiment}"], "filter_string1": "status = 'OK'", "filter_string2": "tags.team = 'green'",
    "base_filter": "timestamp > 1"})
send("correlation none", "POST", f"{API}/traces/calculate-filter-correlation", {
    "experiment_ids": ["{experiment}"], "filter_string1": "name = 'none'", "filter_string2": "tags.team = 'green'"})
send("correlation missing", "POST", f"{API}/traces/calculate-filter-correlation", {"experiment_ids": ["{experiment}"]})

# Deleting.
send("delete nothing said", "POST", f"{OLD}/traces/delete-traces", {"experiment_id": "{experiment}"})
send("delete both said", "POST", f"{OLD}/traces/delete-traces", {"experiment_id": "{experiment}", "max_timestamp_millis": 1, "request_ids": [T1]})
send("delete old", "POST", f"{OLD}/traces/delete-traces", {"experiment_id": "{experiment}", "max_timestamp_millis": 1760000000123, "max_traces": 1})
send("delete zero", "POST", f"{API}/traces/delete-traces", {"experiment_id": "{experiment}", "max_timestamp_millis": 1760000000123, "max_traces": 0})
send("delete ids", "POST", f"{API}/traces/delete-traces", {"experiment_id": "{experiment}", "request_ids": [T2, NONE]})
send("left", "POST", f"{API}/traces/search", {"locations": [{"mlflow_experiment": {"experiment_id": "{experiment}"}}]})

# What clients before 3.0 send.
send("v2 start", "POST", f"{OLD}/traces", {"experiment_id": "{experiment}", "timestamp_ms": 1760000009000,
     "request_metadata": [{"key": "kind", "value": "v2"}], "tags": [{"key": "t", "value": "1"}]},
     note=("{old}", ["trace_info", "request_id"]))
send("v2 end", "PATCH", f"{OLD}/traces/{{old}}", {"request_id": "{old}", "timestamp_ms": 1760000010000, "status": "OK",
     "request_metadata": [{"key": "more", "value": "1"}], "tags": [{"key": "u", "value": "2"}]})
send("v2 info", "GET", f"{OLD}/traces/{{old}}/info")
send("v2 info none", "GET", f"{OLD}/traces/{NONE}/info")
send("v2 search", "GET", f"{OLD}/traces?experiment_ids={{experiment}}&filter=" + urllib.parse.quote("status = 'OK'"))
send("v2 as v3", "GET", f"{API}/traces/{{old}}")

# What is taken there without a word.
send("start no id", "POST", f"{API}/traces", info(""))
send("start bad state", "POST", f"{API}/traces", info("tr-" + "4" * 32, state="WRONG"))
send("start bad time", "POST", f"{API}/traces", info("tr-" + "4" * 32, request_time="yesterday"))
send("assess bad source", "POST", f"{API}/traces/{T1}/assessments", {"assessment": {**feedback, "source": {"source_type": "MARTIAN", "source_id": "a"}}})
send("update rationale", "PATCH", f"{API}/traces/{T1}/assessments/{{expected}}", {
    "assessment": {"rationale": "why"}, "update_mask": "rationale"})

"""Fills what MLflow keeps, a database or a folder, with traces of all kinds, after `fill.py`."""

import base64
import json
import os
import pathlib

import mlflow
import sqlalchemy
from mlflow.entities import AssessmentSource, SpanEvent, SpanType
from mlflow.entities.assessment import IssueReference
from mlflow.entities.link import Link
from mlflow.tracing.utils import TraceJSONEncoder

client = mlflow.MlflowClient()
uri = os.environ["MLFLOW_TRACKING_URI"]
is_database = uri.startswith(("sqlite:", "postgresql"))


def last():
    mlflow.flush_trace_async_logging()
    return mlflow.get_last_active_trace_id()


def hexadecimal(text):
    return base64.b64decode(text).hex() if text else None


@mlflow.trace(span_type=SpanType.TOOL)
def look_up(word):
    span = mlflow.get_current_active_span()
    span.add_event(SpanEvent("found", attributes={"count": 2, "words": ["a", "ü"], "share": 0.30000000000000004}))
    span.set_attribute("odd", {"nan": float("nan"), "inf": -float("inf"), "large": 2**70, "exact": 0.1 + 0.2, "none": None})
    span.set_attribute("text", "with\nlines 'and' \"quotes\" 😀")
    return {"word": word, "deep": [[["x"] * 3]]}


@mlflow.trace(span_type=SpanType.LLM)
def think(question):
    span = mlflow.get_current_active_span()
    span.set_attribute("mlflow.chat.tokenUsage", {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7})
    span.set_attribute("mlflow.llm.cost", {"input_cost": 0.1, "output_cost": 0.2, "total_cost": 0.1 + 0.2})
    return look_up(question)["word"] + "!"


@mlflow.trace(span_type=SpanType.AGENT)
def answer(question, fail=False):
    mlflow.update_current_trace(
        tags={"team": "ä b"},
        metadata={"mlflow.trace.session": "chat 1", "mlflow.trace.user": "ann", "note": "kept"},
        client_request_id="request-1",
    )
    said = think(question)
    if fail:
        raise ValueError("no answer: 'ü'")
    return said


mlflow.set_experiment("churn")
answer("whé?")
whole = last()
try:
    answer("why?", fail=True)
except ValueError:
    pass
failed = last()
with mlflow.start_run(run_name="traced") as run:
    answer("inside a run")
inside = last()
answer("linked")
linked = last()
span_id = mlflow.get_trace(linked).data.spans[0].span_id
with mlflow.start_span("links", links=[Link(linked, span_id, {"why": "because"})]) as span:
    span.set_outputs("x" * 3000)
linking = last()
for _ in range(3):
    answer("again")
    last()
client.set_trace_tag(whole, "later", "1")
client.delete_trace_tag(whole, "team")

judge = AssessmentSource("LLM_JUDGE", "gpt")
first = mlflow.log_feedback(
    trace_id=whole, name="quality", value=0.5, rationale="so so", source=judge, metadata={"seen": "1"}, span_id=span_id
)
second = mlflow.override_feedback(trace_id=whole, assessment_id=first.assessment_id, value=True, source=AssessmentSource("HUMAN", "ann"))
mlflow.override_feedback(trace_id=whole, assessment_id=second.assessment_id, value="1e5", rationale="on\nreflection")
dropped = mlflow.log_feedback(trace_id=whole, name="quality", value=1)
restored = mlflow.override_feedback(trace_id=whole, assessment_id=dropped.assessment_id, value=2)
mlflow.delete_assessment(whole, restored.assessment_id)
mlflow.log_feedback(trace_id=whole, name="broken", error=ValueError("the judge is out"))
mlflow.log_feedback(trace_id=whole, name="parts", value={"a": [1, 2.5, "x", True], "b": "0o17"}, metadata={"mlflow.trace.session": "chat 1"})
mlflow.log_expectation(trace_id=whole, name="expected", value={"answer": ["yes", None, 7]})
mlflow.log_expectation(trace_id=whole, name="plain", value="yes")
changed = mlflow.log_expectation(trace_id=whole, name="number", value=7)
mlflow.update_assessment(whole, changed.assessment_id, mlflow.entities.Expectation("number", 8))
mlflow.log_assessment(failed, IssueReference(issue_id="iss-1", issue_name="slow", run_id=run.info.run_id))

gone = mlflow.set_experiment("old traces").experiment_id
answer("of a deleted experiment")
last()
client.delete_experiment(gone)

if is_database:
    client.link_traces_to_run([whole, linked], run.info.run_id)
    for version in (1, 2):
        prompt = mlflow.genai.load_prompt("greeting", version=version)
        client.link_prompt_versions_to_trace([prompt], linking)

    # As older releases left them: spans that are a file only, and spans in other forms.
    database = sqlalchemy.create_engine(uri).connect()

    def execute(statement, **values):
        return database.execute(sqlalchemy.text(statement), values)

    found = mlflow.get_trace(failed)
    folder = pathlib.Path(found.info.tags["mlflow.artifactLocation"])
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("traces.json").write_text(json.dumps(found.data.to_dict(), cls=TraceJSONEncoder))
    execute("DELETE FROM spans WHERE trace_id = :trace", trace=failed)
    execute("DELETE FROM trace_tags WHERE request_id = :trace AND key = 'mlflow.trace.spansLocation'", trace=failed)
    change = "UPDATE spans SET content = :content WHERE trace_id = :trace AND span_id = :span"
    contents = execute("SELECT span_id, content FROM spans WHERE trace_id = :trace", trace=inside).fetchall()
    for span_id, content in contents:
        told = json.loads(content)
        told["trace_id"] = inside
        told["span_id"] = hexadecimal(told["span_id"])
        told["parent_span_id"] = hexadecimal(told["parent_span_id"])
        told["status"]["code"] = told["status"]["code"].removeprefix("STATUS_CODE_")
        execute(change, content=json.dumps(told), trace=inside, span=span_id)
    contents = execute("SELECT span_id, content FROM spans WHERE trace_id = :trace", trace=linked).fetchall()
    for span_id, content in contents:
        told = json.loads(content)
        told = {
            "name": told["name"],
            "context": {"trace_id": "0x" + hexadecimal(told["trace_id"]), "span_id": "0x" + hexadecimal(told["span_id"])},
            "parent_id": told["parent_span_id"] and "0x" + hexadecimal(told["parent_span_id"]),
            "start_time": told["start_time_unix_nano"],
            "end_time": told["end_time_unix_nano"],
            "status_code": told["status"]["code"].removeprefix("STATUS_CODE_"),
            "status_message": told["status"]["message"],
            "attributes": told["attributes"],
            "events": [{"name": one["name"], "timestamp": one["time_unix_nano"], "attributes": one["attributes"]} for one in told["events"]],
        }
        execute(change, content=json.dumps(told, ensure_ascii=False), trace=linked, span=span_id)
    database.commit()

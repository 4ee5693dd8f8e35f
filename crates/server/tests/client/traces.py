"""What users of MLflow do with traces, with the real client against a server."""

import sys
import threading

import mlflow
from mlflow.entities import AssessmentSource, SpanType, Trace
from mlflow.exceptions import MlflowException

client = mlflow.MlflowClient()
store = client._tracking_client.store
mlflow.set_experiment("traces")


@mlflow.trace(span_type=SpanType.TOOL, attributes={"unit": "word"})
def count(text):
    return len(text.split())


@mlflow.trace(span_type=SpanType.CHAT_MODEL)
def chat(messages):
    span = mlflow.get_current_active_span()
    span.set_attribute("mlflow.chat.tokenUsage", {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7})
    return {"choices": [{"message": {"role": "assistant", "content": "größer"}}]}


@mlflow.trace(name="agent", span_type=SpanType.AGENT)
def agent(question):
    mlflow.update_current_trace(
        tags={"team": "blue"}, metadata={"mlflow.trace.session": "s1", "mlflow.trace.user": "ann"}
    )
    count(question)
    chat([{"role": "user", "content": question}])
    return {"messages": [{"role": "assistant", "content": "größer"}]}


@mlflow.trace
def fails():
    raise ValueError("not today")


def flush():
    mlflow.flush_trace_async_logging()


def refused(code, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except MlflowException as error:
        assert error.error_code == code, error
        return
    raise AssertionError(f"{call} was not refused")


def found(**named):
    return [trace.info.trace_id for trace in mlflow.search_traces(return_type="list", **named)]


def traced():
    agent("is it larger")
    first = mlflow.get_last_active_trace_id()
    flush()
    trace = mlflow.get_trace(first)
    assert trace.info.state == "OK" and trace.info.execution_duration >= 0, trace.info
    assert trace.info.tags["team"] == "blue" and trace.info.tags["mlflow.traceName"] == "agent", trace.info.tags
    assert trace.info.token_usage == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}, trace.info
    assert "is it larger" in trace.info.request_preview, trace.info.request_preview
    # What the client tells is the begin of all that came out.
    assert "größer" in trace.info.response_preview, trace.info.response_preview
    spans = {span.name: span for span in trace.data.spans}
    assert set(spans) == {"agent", "count", "chat"}, spans
    assert trace.data.spans[0].name == "agent"
    assert spans["count"].inputs == {"text": "is it larger"} and spans["count"].outputs == 3
    assert spans["count"].get_attribute("unit") == "word" and spans["count"].span_type == "TOOL"
    assert spans["chat"].parent_id == spans["agent"].span_id
    try:
        fails()
    except ValueError:
        pass
    second = mlflow.get_last_active_trace_id()
    flush()
    trace = mlflow.get_trace(second)
    assert trace.info.state == "ERROR", trace.info
    [span] = trace.data.spans
    assert span.status.status_code == "ERROR" and span.events[0].name == "exception", span.events
    assert "not today" in span.events[0].attributes["exception.message"]
    return first, second


def searched(first, second):
    assert found() == [second, first]
    assert found(filter_string="status = 'ERROR'") == [second]
    assert found(filter_string="tags.team = 'blue' AND trace.name = 'agent'") == [first]
    assert found(filter_string="span.type = 'TOOL'") == [first]
    assert found(filter_string="span.attributes.unit LIKE '%word%'") == [first]
    assert found(filter_string="trace.text LIKE '%größer%'") == [first]
    assert found(filter_string="metadata.`mlflow.trace.session` = 's1'") == [first]
    assert found(order_by=["timestamp ASC"], max_results=1) == [first]
    table = mlflow.search_traces()
    assert list(table.trace_id) == [second, first], table
    assert {"request", "response", "spans", "assessments"} <= set(table.columns), table.columns
    infos = client.search_traces(
        locations=[mlflow.get_experiment_by_name("traces").experiment_id], include_spans=False
    )
    assert len(infos) == 2
    refused("INVALID_PARAMETER_VALUE", mlflow.search_traces, filter_string="nothing = 'x'")


def noted(first, second):
    mlflow.set_trace_tag(first, "team", "red")
    mlflow.set_trace_tag(first, "gone", "1")
    mlflow.delete_trace_tag(first, "gone")
    tags = mlflow.get_trace(first).info.tags
    assert tags["team"] == "red" and "gone" not in tags, tags
    refused("RESOURCE_DOES_NOT_EXIST", mlflow.delete_trace_tag, first, "gone")
    human = AssessmentSource(source_type="HUMAN", source_id="ann")
    feedback = mlflow.log_feedback(
        trace_id=first, name="quality", value=4, source=human, rationale="fine", metadata={"m": "1"}
    )
    expected = mlflow.log_expectation(trace_id=first, name="answer", value={"words": ["larger"]}, source=human)
    kept = mlflow.get_assessment(first, expected.assessment_id)
    assert kept.value == {"words": ["larger"]} and kept.source.source_id == "ann", kept
    assert found(filter_string="feedback.quality > 3") == [first]
    feedback.feedback.value = 2
    mlflow.update_assessment(first, feedback.assessment_id, feedback)
    assert mlflow.get_assessment(first, feedback.assessment_id).value == 2
    better = mlflow.override_feedback(trace_id=first, assessment_id=feedback.assessment_id, value=5)
    by_id = {one.assessment_id: one for one in mlflow.get_trace(first).info.assessments}
    assert not by_id[feedback.assessment_id].valid and by_id[better.assessment_id].valid, by_id
    mlflow.delete_assessment(first, better.assessment_id)
    assert mlflow.get_assessment(first, feedback.assessment_id).valid
    failed = mlflow.log_feedback(trace_id=second, name="quality", error=ValueError("judge is out"))
    assert failed.error.error_message == "judge is out", failed
    refused("RESOURCE_DOES_NOT_EXIST", mlflow.get_assessment, first, "a-none")


def belonging():
    with mlflow.start_run() as run:
        agent("within a run")
        inside = mlflow.get_last_active_trace_id()
    flush()
    assert found(run_id=run.info.run_id) == [inside]
    assert mlflow.get_trace(inside).info.trace_metadata["mlflow.sourceRun"] == run.info.run_id
    agent("outside of a run")
    outside = mlflow.get_last_active_trace_id()
    flush()
    client.link_traces_to_run([outside], run.info.run_id)
    assert set(found(run_id=run.info.run_id)) == {inside, outside}
    prompt = mlflow.genai.register_prompt(name="greeting", template="Say {{what}}")

    @mlflow.trace
    def greets():
        return mlflow.genai.load_prompt("prompts:/greeting/1").format(what="hello")

    greets()
    greeting = mlflow.get_last_active_trace_id()
    flush()
    # The client links in a thread of its own.
    for thread in threading.enumerate():
        if "link_prompt" in thread.name:
            thread.join(20)
    assert found(filter_string=f"prompt = 'greeting/{prompt.version}'") == [greeting]
    model = mlflow.create_external_model(name="bot")
    mlflow.set_active_model(model_id=model.model_id)
    agent("of a model")
    flush()
    assert mlflow.get_trace(mlflow.get_last_active_trace_id()).info.trace_metadata["mlflow.modelId"] == model.model_id
    return inside


def made_by_hand():
    root = client.start_trace(name="by hand", inputs={"a": 1}, tags={"hand": "1"})
    inner = client.start_span(name="inner", trace_id=root.trace_id, parent_id=root.span_id)
    client.end_span(trace_id=root.trace_id, span_id=inner.span_id, outputs=2)
    client.end_trace(trace_id=root.trace_id, outputs={"b": 2}, status="OK")
    flush()
    trace = client.get_trace(root.trace_id)
    assert [span.name for span in trace.data.spans] == ["by hand", "inner"], trace
    again = Trace.from_json(trace.to_json())
    assert again.data.spans[1].outputs == 2
    copied = mlflow.log_trace(name="logged", request={"q": 1}, response={"a": 2}, tags={"copied": "1"})
    flush()
    assert found(filter_string="tags.copied = '1'") == [copied]
    return root.trace_id


def attached():
    @mlflow.trace
    def draws():
        span = mlflow.get_current_active_span()
        span.set_attribute("picture", "none")
        return "done"

    draws()
    flush()
    return mlflow.get_last_active_trace_id()


def scored(first):
    @mlflow.genai.scorer
    def is_long(outputs):
        return len(str(outputs)) > 3

    result = mlflow.genai.evaluate(
        data=[{"inputs": {"question": "how long"}, "outputs": "long enough"}], scorers=[is_long]
    )
    flush()
    assert result.metrics["is_long/mean"] == 1.0, result.metrics
    assert found(filter_string="feedback.is_long = 'true'"), "no trace was scored"


def measured(first):
    from mlflow.entities.trace_metrics import AggregationType, MetricAggregation, MetricViewType

    experiment = mlflow.get_experiment_by_name("traces").experiment_id
    points = store.query_trace_metrics(
        [experiment], MetricViewType.TRACES, "trace_count", [MetricAggregation(AggregationType.COUNT)]
    )
    assert points[0].values == {"COUNT": float(len(found()))}, points
    points = store.query_trace_metrics(
        [experiment],
        MetricViewType.SPANS,
        "latency",
        [MetricAggregation(AggregationType.PERCENTILE, 99.9), MetricAggregation(AggregationType.MAX)],
        dimensions=["span_name"],
        start_time_ms=0,
        end_time_ms=4102444800000,
        time_interval_seconds=86400,
    )
    assert points and all(p.values["P99.9"] <= p.values["MAX"] for p in points), points
    assert all("time_bucket" in p.dimensions for p in points), points


def troubled(first):
    from mlflow.entities.assessment import AssessmentSource, IssueReference
    from mlflow.entities.issue import IssueSeverity, IssueStatus

    experiment = mlflow.get_experiment_by_name("traces").experiment_id
    issue = store.create_issue(
        experiment, "slow", "It takes long.", severity=IssueSeverity.HIGH, root_causes=["the network"]
    )
    assert store.get_issue(issue.issue_id) == issue
    reference = IssueReference(
        issue_id=issue.issue_id, issue_name="slow", trace_id=first, source=AssessmentSource("HUMAN", "ann")
    )
    store.create_assessment(reference)
    assert found(filter_string=f"issue.id = '{issue.issue_id}'") == [first]
    changed = store.update_issue(issue.issue_id, status=IssueStatus.RESOLVED)
    assert changed.status == IssueStatus.RESOLVED and changed.name == "slow", changed
    listed = store.search_issues(experiment, "status = 'resolved'", include_trace_count=True)
    assert [(i.issue_id, i.trace_count) for i in listed] == [(issue.issue_id, 1)], listed
    refused("RESOURCE_DOES_NOT_EXIST", store.get_issue, "iss-none")


def asked():
    from mlflow.genai import label_schemas
    from mlflow.genai.label_schemas import InputCategorical, InputPassFail

    experiment = mlflow.get_experiment_by_name("traces").experiment_id
    made = label_schemas.create_label_schema(
        "Is it right?", type="feedback", input=InputPassFail("Yes", "No"), experiment_id=experiment
    )
    found = label_schemas.get_label_schema("Is it right?", experiment_id=experiment)
    assert found.schema_id == made.schema_id and found.input == InputPassFail("Yes", "No"), found
    names = [s.name for s in label_schemas.list_label_schemas(experiment_id=experiment)]
    assert names == ["Is it right?", "Feedback"], names
    changed = label_schemas.update_label_schema(made.schema_id, name="Is it good?")
    assert changed.name == "Is it good?", changed
    refused(
        "INVALID_PARAMETER_VALUE",
        label_schemas.update_label_schema,
        made.schema_id,
        input=InputCategorical(["a"]),
    )
    label_schemas.delete_label_schema(schema_id=made.schema_id)
    refused("RESOURCE_DOES_NOT_EXIST", label_schemas.get_label_schema, schema_id=made.schema_id)


def deleted(first, second):
    experiment = mlflow.get_experiment_by_name("traces").experiment_id
    assert client.delete_traces(experiment, trace_ids=[second]) == 1
    assert second not in found()
    assert client.delete_traces(experiment, max_timestamp_millis=4102444800000, max_traces=1) == 1
    assert first not in found()
    refused("RESOURCE_DOES_NOT_EXIST", client.get_trace, "tr-" + "0" * 32)


first, second = traced()
searched(first, second)
noted(first, second)
belonging()
made_by_hand()
attached()
scored(first)
measured(first)
troubled(first)
asked()
deleted(first, second)
print("done", file=sys.stderr)

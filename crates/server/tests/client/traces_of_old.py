"""What the client of a year ago knows of traces, datasets of examples and prompts, against a server."""

import sys

import mlflow
from mlflow.entities import SpanType

client = mlflow.MlflowClient()
experiment = mlflow.set_experiment("old traces")


@mlflow.trace(span_type=SpanType.TOOL)
def half(number):
    if number % 2:
        raise ValueError("odd")
    return number // 2


@mlflow.trace(span_type=SpanType.AGENT)
def halves(numbers):
    return [half(number) for number in numbers]


def last():
    mlflow.flush_trace_async_logging()
    return mlflow.get_last_active_trace_id()


def traces():
    with mlflow.start_run() as run:
        halves([2, 4])
    inside = last()
    try:
        half(3)
    except ValueError:
        pass
    failed = last()
    trace = mlflow.get_trace(inside)
    assert [span.name for span in trace.data.spans] == ["halves", "half", "half"], trace.data.spans
    assert trace.info.trace_metadata["mlflow.sourceRun"] == run.info.run_id
    client.set_trace_tag(inside, "team", "red")
    mlflow.log_feedback(trace_id=inside, name="is_right", value=True)
    mlflow.log_expectation(trace_id=inside, name="expected", value=[1, 2])

    def found(**named):
        traces = mlflow.search_traces(experiment_ids=[experiment.experiment_id], return_type="list", **named)
        return [trace.info.trace_id for trace in traces]

    assert found(filter_string="tags.team = 'red'") == [inside]
    assert found(filter_string="status = 'ERROR'") == [failed]
    assert found(order_by=["timestamp_ms ASC"]) == [inside, failed]
    assert found(run_id=run.info.run_id) == [inside]
    given = {one.name: one.value for one in mlflow.get_trace(inside).info.assessments}
    assert given == {"is_right": True, "expected": [1, 2]}, given
    assert client.delete_traces(experiment.experiment_id, trace_ids=[failed]) == 1
    assert found() == [inside]


def datasets():
    dataset = mlflow.genai.datasets.create_dataset(name="old", experiment_id=[experiment.experiment_id])
    dataset.merge_records([{"inputs": {"q": 1}, "expectations": {"a": 2}}])
    again = mlflow.genai.datasets.get_dataset(dataset_id=dataset.dataset_id)
    assert list(again.to_df()["inputs"]) == [{"q": 1}]
    mlflow.genai.datasets.delete_dataset(dataset_id=dataset.dataset_id)


traces()
datasets()
print("done", file=sys.stderr)

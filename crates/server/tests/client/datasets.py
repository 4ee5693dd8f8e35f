"""Evaluation datasets and scorers with the real client; prints nothing, fails by an exception."""

import math

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.genai.datasets import (
    add_dataset_to_experiments,
    create_dataset,
    delete_dataset,
    delete_dataset_tag,
    get_dataset,
    remove_dataset_from_experiments,
    search_datasets,
    set_dataset_tags,
)
from mlflow.genai.judges import make_judge
from mlflow.genai.scorers import delete_scorer, get_scorer, list_scorers, scorer
from mlflow.genai.scorers.base import ScorerSamplingConfig


def refused(action, *words):
    try:
        action()
    except MlflowException as error:
        for word in words:
            assert word in str(error), error
        return
    raise AssertionError("it was not refused")


experiment = mlflow.set_experiment("evaluations").experiment_id

# Datasets, their tags and experiments.
dataset = create_dataset("qa", experiment_id=experiment, tags={"team": "blue"})
assert dataset.dataset_id.startswith("d-") and dataset.experiment_ids == [experiment]
assert dataset.schema is None and dataset.profile is None
digest = dataset.digest
found = get_dataset(dataset_id=dataset.dataset_id)
assert (found.name, found.tags["team"], found.digest) == ("qa", "blue", digest)
assert found.experiment_ids == [experiment]
assert found.created_by == found.tags["mlflow.user"]
assert get_dataset(name="qa").dataset_id == dataset.dataset_id
refused(lambda: get_dataset(dataset_id="d-none"), "not found")

set_dataset_tags(dataset_id=dataset.dataset_id, tags={"team": "red", "n": 1})
delete_dataset_tag(dataset_id=dataset.dataset_id, key="n")
tags = get_dataset(dataset_id=dataset.dataset_id).tags
assert tags["team"] == "red" and "n" not in tags

added = add_dataset_to_experiments(dataset_id=dataset.dataset_id, experiment_ids=["0"])
assert sorted(added.experiment_ids) == sorted(["0", experiment])
removed = remove_dataset_from_experiments(dataset_id=dataset.dataset_id, experiment_ids=["0"])
assert removed.experiment_ids == [experiment]

other = create_dataset("other", experiment_id="0")
# Without a filter, the client asks for those of the last seven days, and the clock of a test stands still.
all_names = "name LIKE '%'"
assert [d.name for d in search_datasets(experiment_ids=[experiment], filter_string=all_names)] == ["qa"]
assert [d.name for d in search_datasets(filter_string="tags.team = 'red'")] == ["qa"]
names = search_datasets(filter_string="name LIKE '%'", order_by=["name DESC"], max_results=10)
assert [d.name for d in names] == ["qa", "other"]
refused(lambda: search_datasets(filter_string="nothing = 'x'"))

# Records from dicts, frames and traces.
dataset.merge_records(
    [
        {"inputs": {"question": "What is MLflow?"}, "expectations": {"expected_response": "a tool"}},
        {"inputs": {"question": "Größe?"}, "tags": {"kind": "ü"}},
    ]
)
df = dataset.to_df()
assert len(df) == 2
assert set(df["source_type"]) == {"HUMAN", "CODE"}
record = df[df["source_type"] == "HUMAN"].iloc[0]
assert record["inputs"] == {"question": "What is MLflow?"}
assert record["expectations"] == {"expected_response": "a tool"}
found = get_dataset(dataset_id=dataset.dataset_id)
assert found.digest != digest
assert '"question": "string"' in found.schema and found.profile == '{"num_records": 2}'

frame = pd.DataFrame(
    [
        {"inputs": {"question": "What is MLflow?"}, "expectations": {"score": 1.5}},
        {"inputs": {"question": "Why?"}, "expectations": {"score": 2}},
    ]
)
dataset.merge_records(frame)
df = dataset.to_df()
assert len(df) == 3
by_question = {inputs["question"]: row for row, inputs in zip(df.to_dict("records"), df["inputs"])}
assert by_question["What is MLflow?"]["expectations"] == {"expected_response": "a tool", "score": 1.5}

numbers = create_dataset("numbers", experiment_id="0")
numbers.merge_records(pd.DataFrame([{"inputs": {"nan": math.nan, "big": 10**25, "low": -math.inf}}]))
inputs = numbers.to_df()["inputs"][0]
assert math.isnan(inputs["nan"]) and inputs["big"] == 10**25 and inputs["low"] == -math.inf
delete_dataset(dataset_id=numbers.dataset_id)


@mlflow.trace
def answer(question):
    return f"an answer to {question}"


answer("What for?")
trace_id = mlflow.get_last_active_trace_id()
mlflow.flush_trace_async_logging()
mlflow.log_expectation(trace_id=trace_id, name="expected", value="this", source=None)
dataset.merge_records(mlflow.search_traces(locations=[experiment], return_type="list"))
df = dataset.to_df()
traced = df[df["source_type"] == "TRACE"].iloc[0]
assert traced["source_id"] == trace_id
assert traced["inputs"] == {"question": "What for?"} and traced["outputs"] == "an answer to What for?"
assert traced["expectations"] == {"expected": "this"}
dataset.merge_records(mlflow.search_traces(locations=[experiment]))
assert len(dataset.to_df()) == 4
refused(lambda: dataset.merge_records([{"inputs": {"goal": "g"}}]), "granularity")

# More than one page.
other.merge_records([{"inputs": {"n": n}} for n in range(2345)])
assert sorted(inputs["n"] for inputs in other.to_df()["inputs"]) == list(range(2345))
assert other.profile is None and get_dataset(dataset_id=other.dataset_id).profile == '{"num_records": 2345}'

# Deleting records.
assert dataset.delete_records([traced["dataset_record_id"], "dr-none"]) == 1
assert len(dataset.to_df()) == 3
assert dataset.delete_records([traced["dataset_record_id"]]) == 0


# Evaluating on a dataset.
@scorer
def is_long(outputs):
    return len(outputs) > 10


result = mlflow.genai.evaluate(
    data=get_dataset(dataset_id=dataset.dataset_id), predict_fn=answer, scorers=[is_long]
)
assert result.metrics["is_long/mean"] == 1.0
inputs = mlflow.get_run(result.run_id).inputs.dataset_inputs
assert [used.dataset.name for used in inputs] == ["qa"]
assert dataset.dataset_id in inputs[0].dataset.source
# A captured run is of experiment 0, and what was traced before belongs to it too.
traces = mlflow.search_traces(locations=["0", experiment], run_id=result.run_id, return_type="list")
assert len([t for t in traces if t.search_assessments(name="is_long")]) == 3

# Scorers.
judge = make_judge(
    name="right", instructions="Is {{ outputs }} right for {{ inputs }}?", model="openai:/gpt-4o", feedback_value_type=bool
)
registered = judge.register(experiment_id=experiment)
assert registered.name == "right"
assert [s.name for s in list_scorers(experiment_id=experiment)] == ["right"]
make_judge(name="right", instructions="Is {{ outputs }} good?", model="openai:/gpt-4o").register(experiment_id=experiment)
assert "good" in get_scorer(name="right", experiment_id=experiment).instructions
assert "right for" in get_scorer(name="right", experiment_id=experiment, version=1).instructions
refused(lambda: get_scorer(name="right", experiment_id=experiment, version=9), "not found")
refused(lambda: get_scorer(name="none", experiment_id=experiment), "not found")
refused(lambda: is_long.register(experiment_id=experiment))
refused(
    lambda: judge.register(experiment_id=experiment).start(sampling_config=ScorerSamplingConfig(sample_rate=0.5)),
    "gateway",
)
stopped = get_scorer(name="right", experiment_id=experiment).stop(experiment_id=experiment)
assert stopped.sample_rate == 0
delete_scorer(name="right", experiment_id=experiment, version=1)
refused(lambda: get_scorer(name="right", experiment_id=experiment, version=1), "not found")
delete_scorer(name="right", experiment_id=experiment, version="all")
assert list_scorers(experiment_id=experiment) == []

delete_dataset(dataset_id=dataset.dataset_id)
refused(lambda: get_dataset(dataset_id=dataset.dataset_id), "not found")
assert [d.name for d in search_datasets(filter_string="name LIKE '%'")] == ["other"]

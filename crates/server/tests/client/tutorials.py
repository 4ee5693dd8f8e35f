"""The flows of MLflow's tutorials, in our own words and short: each as a newcomer would type it, against a server."""

import pathlib
import sys
import tempfile

import mlflow
import pandas
from mlflow.entities import SpanType
from mlflow.genai.datasets import create_dataset
from mlflow.genai.scorers import scorer
from mlflow.models import infer_signature
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, train_test_split

client = mlflow.MlflowClient()


def first_steps():
    """Tracking: params, metrics, a model with its signature, loaded again as a function."""
    features, labels = load_iris(return_X_y=True, as_frame=True)
    train, test, train_labels, test_labels = train_test_split(features, labels, test_size=0.2, random_state=42)
    settings = {"solver": "lbfgs", "max_iter": 1000, "random_state": 8888}
    mlflow.set_experiment("First steps")
    with mlflow.start_run(run_name="iris"):
        mlflow.log_params(settings)
        model = LogisticRegression(**settings).fit(train, train_labels)
        accuracy = accuracy_score(test_labels, model.predict(test))
        mlflow.log_metric("accuracy", accuracy)
        mlflow.set_tag("about", "a simple model of iris data")
        signature = infer_signature(train, model.predict(train))
        logged = mlflow.sklearn.log_model(model, name="iris", signature=signature, input_example=train.head(2))
    loaded = mlflow.pyfunc.load_model(logged.model_uri)
    table = pandas.DataFrame(test).assign(actual=test_labels, predicted=loaded.predict(test))
    assert (table.actual == table.predicted).mean() == accuracy
    assert loaded.metadata.get_input_schema().input_names() == list(features.columns)


def search_of_settings():
    """Autologging of a search over settings: a run with one child for each of the best."""
    mlflow.set_experiment("Searching settings")
    mlflow.sklearn.autolog(max_tuning_runs=2, log_models=False)
    features, target = load_diabetes(return_X_y=True)
    with mlflow.start_run() as run:
        grid = {"n_estimators": [2, 4], "max_depth": [2]}
        GridSearchCV(RandomForestRegressor(random_state=0), grid, cv=2).fit(features, target)
    mlflow.sklearn.autolog(disable=True)
    children = mlflow.search_runs(
        filter_string=f"tags.`mlflow.parentRunId` = '{run.info.run_id}'", order_by=["metrics.mean_test_score DESC"]
    )
    assert len(children) == 2 and set(children["params.n_estimators"]) == {"2", "4"}, children
    best = mlflow.get_run(run.info.run_id).data
    assert best.params["best_n_estimators"] in ("2", "4") and best.metrics["best_cv_score"] < 1


def registering():
    """The registry: names, versions, aliases, descriptions, tags; used by alias, promoted by copying."""
    features, labels = load_iris(return_X_y=True)
    for strength in [0.01, 1.0]:
        with mlflow.start_run():
            model = LogisticRegression(C=strength, max_iter=1000).fit(features, labels)
            mlflow.sklearn.log_model(model, name="net", registered_model_name="dev.iris")
    client.update_registered_model("dev.iris", description="Tells irises apart.")
    client.set_registered_model_tag("dev.iris", "task", "classification")
    client.set_model_version_tag("dev.iris", "2", "validation_status", "approved")
    client.set_registered_model_alias("dev.iris", "champion", "2")
    assert client.get_model_version_by_alias("dev.iris", "champion").version == "2"
    assert mlflow.sklearn.load_model("models:/dev.iris@champion").C == 1.0
    client.copy_model_version("models:/dev.iris@champion", "prod.iris")
    assert mlflow.sklearn.load_model("models:/prod.iris/1").C == 1.0
    approved = client.search_model_versions("name = 'dev.iris' AND tags.validation_status = 'approved'")
    assert [found.version for found in approved] == ["2"], approved
    (found,) = client.search_registered_models("tags.task = 'classification'")
    assert found.description == "Tells irises apart." and found.aliases == {"champion": "2"}, found


def evaluating():
    """Evaluation of a classic model on a table, and of a table with predictions."""
    features, labels = load_iris(return_X_y=True, as_frame=True)
    table = features.assign(label=labels)
    data = mlflow.data.from_pandas(table, targets="label", name="iris")
    with mlflow.start_run() as run:
        model = LogisticRegression(max_iter=1000).fit(features, labels)
        logged = mlflow.sklearn.log_model(model, name="net")
        result = mlflow.models.evaluate(
            logged.model_uri, data, model_type="classifier", evaluator_config={"log_model_explainability": False}
        )
    found = mlflow.get_run(run.info.run_id)
    assert found.data.metrics["accuracy_score"] == result.metrics["accuracy_score"] > 0.9
    assert found.inputs.dataset_inputs[0].dataset.name == "iris"
    assert any(point.key == "accuracy_score" for point in mlflow.get_logged_model(logged.model_id).metrics)
    assert "confusion_matrix" in result.artifacts


def prompting():
    """Prompts: versions of a text, an alias, filled in."""
    first = mlflow.genai.register_prompt(name="summary", template="Sum up in {{ count }} words: {{ text }}")
    second = mlflow.genai.register_prompt(
        name="summary", template="In {{ count }} words, no more: {{ text }}", commit_message="shorter", tags={"by": "ann"}
    )
    assert (first.version, second.version) == (1, 2)
    mlflow.genai.set_prompt_alias("summary", alias="production", version=2)
    loaded = mlflow.genai.load_prompt("prompts:/summary@production")
    assert loaded.format(count=3, text="much") == "In 3 words, no more: much"
    assert loaded.commit_message == "shorter" and loaded.tags["by"] == "ann"
    assert [found.name for found in mlflow.genai.search_prompts(filter_string="name = 'summary'")] == ["summary"]


@mlflow.trace(span_type=SpanType.TOOL)
def look_up(question):
    return {"Where is the Louvre?": "Paris"}.get(question, "unknown")


@mlflow.trace(span_type=SpanType.AGENT)
def answer(question):
    with mlflow.start_span(name="think", span_type=SpanType.CHAIN) as span:
        span.set_inputs({"question": question})
        found = look_up(question)
        span.set_outputs(found)
    mlflow.update_current_trace(tags={"about": "geography"})
    return found


def tracing():
    """Tracing: spans of functions, tags, feedback, search."""
    experiment = mlflow.set_experiment("Tracing")
    assert answer("Where is the Louvre?") == "Paris"
    trace_id = mlflow.get_last_active_trace_id()
    mlflow.flush_trace_async_logging()
    trace = mlflow.get_trace(trace_id)
    assert [span.name for span in trace.data.spans] == ["answer", "think", "look_up"]
    mlflow.log_feedback(trace_id=trace_id, name="is_right", value=True, rationale="I was there")
    mlflow.log_expectation(trace_id=trace_id, name="expected", value="Paris")
    found = mlflow.search_traces(
        locations=[experiment.experiment_id], filter_string="tags.about = 'geography'", return_type="list"
    )
    assert [trace.info.trace_id for trace in found] == [trace_id], found
    assert {given.name for given in found[0].info.assessments} == {"is_right", "expected"}


@scorer
def is_exact(outputs, expectations):
    return outputs == expectations["answer"]


def judging():
    """A dataset of examples, and an agent that is judged on it."""
    experiment = mlflow.set_experiment("Judging")
    dataset = create_dataset(name="questions", experiment_id=experiment.experiment_id, tags={"stage": "draft"})
    dataset.merge_records(
        [
            {"inputs": {"question": "Where is the Louvre?"}, "expectations": {"answer": "Paris"}},
            {"inputs": {"question": "Where is the Prado?"}, "expectations": {"answer": "Madrid"}},
        ]
    )
    assert len(dataset.to_df()) == 2
    result = mlflow.genai.evaluate(data=dataset, predict_fn=answer, scorers=[is_exact])
    assert result.metrics["is_exact/mean"] == 0.5, result.metrics
    traces = mlflow.search_traces(run_id=result.run_id, return_type="list")
    assert len(traces) == 2 and all(trace.info.assessments for trace in traces), traces


def files():
    """Artifacts: written in every way, listed, read again."""
    mlflow.set_experiment("Files")
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run() as run:
        path = pathlib.Path(folder, "notes.md")
        path.write_text("# Notes")
        mlflow.log_artifact(path)
        mlflow.log_text("plain", "texts/a.txt")
        mlflow.log_dict({"k": [1, 2]}, "texts/b.json")
        mlflow.log_table(pandas.DataFrame({"q": ["a"], "a": ["b"]}), artifact_file="table.json")
    listed = [entry.path for entry in client.list_artifacts(run.info.run_id)]
    assert listed == ["notes.md", "table.json", "texts"], listed
    assert mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/texts/b.json") == {"k": [1, 2]}
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes.md") == "# Notes"


first_steps()
search_of_settings()
registering()
evaluating()
prompting()
tracing()
judging()
files()
print("done", file=sys.stderr)

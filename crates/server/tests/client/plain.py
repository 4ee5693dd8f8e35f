"""What users of MLflow do, with the real client against a server: plain logging, search, files, autolog, models."""

import io
import math
import pathlib
import sys
import tempfile
import zipfile

import mlflow
import numpy
import pandas
import requests
from mlflow.entities import Metric, ViewType
from mlflow.exceptions import MlflowException
from sklearn.linear_model import LogisticRegression

client = mlflow.MlflowClient()


def refused(code, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except MlflowException as error:
        assert error.error_code == code, error
        return str(error)
    raise AssertionError(f"{call} was not refused")


def experiments():
    experiment = mlflow.set_experiment("plain")
    assert mlflow.set_experiment("plain").experiment_id == experiment.experiment_id
    client.set_experiment_tag(experiment.experiment_id, "team", "a")
    assert client.get_experiment(experiment.experiment_id).tags == {"team": "a"}
    client.delete_experiment_tag(experiment.experiment_id, "team")
    other = client.create_experiment("other")
    refused("RESOURCE_ALREADY_EXISTS", client.create_experiment, "other")
    client.rename_experiment(other, "renamed")
    client.delete_experiment(other)
    deleted = client.search_experiments(view_type=ViewType.DELETED_ONLY)
    assert [found.name for found in deleted] == ["renamed"]
    client.restore_experiment(other)
    names = [found.name for found in mlflow.search_experiments(order_by=["name ASC"])]
    assert names == ["Default", "plain", "renamed"], names


def plain_logging():
    with mlflow.start_run(run_name="first") as run:
        mlflow.log_param("lr", 0.1)
        mlflow.log_params({"depth": 3, "name": "x" * 7000})
        refused("INVALID_PARAMETER_VALUE", mlflow.log_param, "lr", 0.2)
        for step in range(5):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metric("bad", math.nan)
        mlflow.log_metric("high", math.inf)
        mlflow.log_metrics({"auc": 0.9, "f1": 0.8}, step=3)
        mlflow.log_metric("later", 1.0, synchronous=False).wait()
        mlflow.set_tag("t", "ü")
        mlflow.set_tags({"gone": "1"})
        mlflow.delete_tag("gone")
        table = pandas.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
        mlflow.log_input(mlflow.data.from_pandas(table, name="table"), context="training")
        with mlflow.start_run(nested=True, run_name="child") as child:
            mlflow.log_metric("loss", 0.05)
    found = mlflow.get_run(run.info.run_id)
    assert found.info.status == "FINISHED" and found.info.end_time >= found.info.start_time
    assert found.data.params == {"lr": "0.1", "depth": "3", "name": "x" * 7000}
    assert found.data.metrics["loss"] == 0.2 and found.data.metrics["auc"] == 0.9
    assert math.isnan(found.data.metrics["bad"]) and found.data.metrics["high"] > 1.797e308
    assert found.data.tags["t"] == "ü" and "gone" not in found.data.tags
    assert found.inputs.dataset_inputs[0].dataset.name == "table"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in history] == [0, 1, 2, 3, 4]
    assert client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == run.info.run_id
    points = [Metric("many", value, value, value) for value in range(1000)]
    client.log_batch(run.info.run_id, metrics=points)
    assert len(client.get_metric_history(run.info.run_id, "many")) == 1000
    return run.info.run_id


def searching(run_id):
    found = mlflow.search_runs(filter_string="params.lr = '0.1' and metrics.auc > 0.5")
    assert list(found["run_id"]) == [run_id], found
    ordered = mlflow.search_runs(order_by=["metrics.loss ASC"], output_format="list")
    assert [run.info.run_name for run in ordered][:2] == ["child", "first"]
    pages = client.search_runs([ordered[0].info.experiment_id], max_results=1)
    assert len(pages) == 1 and pages.token
    next_page = client.search_runs([ordered[0].info.experiment_id], max_results=1, page_token=pages.token)
    assert next_page[0].info.run_id != pages[0].info.run_id
    refused("INVALID_PARAMETER_VALUE", mlflow.search_runs, filter_string="metrics.loss > 'a'")
    refused("RESOURCE_DOES_NOT_EXIST", mlflow.get_run, "0" * 32)
    client.delete_run(run_id)
    assert run_id not in list(mlflow.search_runs()["run_id"])
    refused("INVALID_PARAMETER_VALUE", client.log_metric, run_id, "loss", 1)
    client.restore_run(run_id)


def unpacked(run_id, path, copied):
    """An archive of a folder holds what the client downloaded of it, file by file."""
    url = f"{mlflow.get_tracking_uri()}/api/2.0/mlflow-artifacts/artifacts.zip"
    answer = requests.get(url, params={"run_id": run_id, "path": path})
    answer.raise_for_status()
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    with tempfile.TemporaryDirectory() as folder:
        archive.extractall(folder)
        root = pathlib.Path(folder)
        found = {file.relative_to(root / path): file.read_bytes() for file in root.rglob("*") if file.is_file()}
    assert found == {file.relative_to(copied): file.read_bytes() for file in copied.rglob("*") if file.is_file()}, found


def files(folder):
    large = numpy.random.default_rng(0).bytes(3_000_000)
    (folder / "tree" / "deep").mkdir(parents=True)
    (folder / "tree" / "a b.txt").write_text("a")
    (folder / "tree" / "deep" / "ü.bin").write_bytes(large)
    (folder / "tree" / "empty").write_bytes(b"")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(folder / "tree", "copy")
        mlflow.log_artifact(folder / "tree" / "a b.txt")
        mlflow.log_text("hello", "notes/hello.txt")
        mlflow.log_dict({"a": [1]}, "notes/a.json")
        mlflow.log_table({"x": [1, 2]}, "table.json")
        mlflow.log_table({"x": [3]}, "table.json")
    names = sorted(found.path for found in client.list_artifacts(run.info.run_id))
    assert names == ["a b.txt", "copy", "notes", "table.json"], names
    sizes = {found.path: found.file_size for found in client.list_artifacts(run.info.run_id, "copy/deep")}
    assert sizes == {"copy/deep/ü.bin": len(large)}, sizes
    copied = pathlib.Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="copy"))
    assert (copied / "deep" / "ü.bin").read_bytes() == large
    assert (copied / "a b.txt").read_text() == "a" and (copied / "empty").read_bytes() == b""
    unpacked(run.info.run_id, "copy", copied)
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/hello.txt") == "hello"
    assert list(mlflow.load_table("table.json", [run.info.run_id])["x"]) == [1, 2, 3]
    try:
        client.download_artifacts(run.info.run_id, "nowhere")
    except MlflowException:
        return
    raise AssertionError("a file that is not there was downloaded")


def models():
    rows = numpy.random.default_rng(0).normal(size=(80, 3))
    truth = (rows[:, 0] > 0).astype(int)
    mlflow.sklearn.autolog()
    with mlflow.start_run() as run:
        LogisticRegression().fit(rows, truth)
    mlflow.sklearn.autolog(disable=True)
    found = mlflow.get_run(run.info.run_id)
    assert found.data.params["C"] == "1.0" and found.data.metrics["training_accuracy_score"] > 0.9
    assert len(found.outputs.model_outputs) == 1
    made = mlflow.get_logged_model(found.outputs.model_outputs[0].model_id)
    assert made.status.value == "READY" and made.source_run_id == run.info.run_id
    assert any(point.key == "training_accuracy_score" for point in made.metrics), made

    classifier = LogisticRegression(C=0.5).fit(rows, truth)
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(classifier, name="classifier", params={"c": 0.5})
        mlflow.log_metric("accuracy", 0.75, model_id=info.model_id)
    for uri in [info.model_uri, f"models:/{info.model_id}", f"runs:/{run.info.run_id}/classifier"]:
        loaded = mlflow.sklearn.load_model(uri)
        assert (loaded.predict(rows) == classifier.predict(rows)).all(), uri
    model = mlflow.get_logged_model(info.model_id)
    assert model.params["c"] == "0.5" and model.metrics[0].value == 0.75
    client.set_logged_model_tags(info.model_id, {"a": "1", "b": "2"})
    client.delete_logged_model_tag(info.model_id, "a")
    tags = mlflow.get_logged_model(info.model_id).tags
    assert tags["b"] == "2" and "a" not in tags
    best = mlflow.search_logged_models(
        experiment_ids=[run.info.experiment_id],
        filter_string="metrics.accuracy > 0.5",
        order_by=[{"field_name": "metrics.accuracy", "ascending": False}],
        output_format="list",
    )
    assert [found.model_id for found in best] == [info.model_id], best
    client.delete_logged_model(info.model_id)
    refused("RESOURCE_DOES_NOT_EXIST", mlflow.get_logged_model, info.model_id)


experiments()
run_id = plain_logging()
searching(run_id)
with tempfile.TemporaryDirectory() as folder:
    files(pathlib.Path(folder))
models()
print("done", file=sys.stderr)

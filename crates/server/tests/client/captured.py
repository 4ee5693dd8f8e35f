"""A training script that logs with MLflow, inside a captured run: prints what it was told, for a replay to compare."""

import json
import os
import pathlib

import mlflow
import numpy
from sklearn.linear_model import LogisticRegression

rows = numpy.random.default_rng(0).normal(size=(40, 2))
truth = (rows[:, 0] > 0).astype(int)
mlflow.set_experiment("of the script")
mlflow.sklearn.autolog()
with mlflow.start_run() as run:
    classifier = LogisticRegression().fit(rows, truth)
    mlflow.log_param("mine", 1)
    mlflow.log_metric("accuracy", classifier.score(rows, truth))
    mlflow.log_text(run.info.run_id, "notes/id.txt")
    mlflow.sklearn.autolog(disable=True)
    with mlflow.start_run(nested=True) as child:
        mlflow.log_metric("inner", 1.0)
        info = mlflow.sklearn.log_model(classifier, name="inner")
    found = mlflow.search_runs(filter_string=f"tags.`mlflow.parentRunId` = '{run.info.run_id}'", search_all_experiments=True)
    assert list(found["run_id"]) == [child.info.run_id], found
ended = mlflow.get_run(run.info.run_id)
assert ended.info.status == "FINISHED", ended.info
assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/id.txt") == run.info.run_id
assert (mlflow.sklearn.load_model(info.model_uri).predict(rows) == classifier.predict(rows)).all()
folder = pathlib.Path(mlflow.artifacts.download_artifacts(info.model_uri))
(outputs,) = [ended.outputs.model_outputs]
told = {
    "run": run.info.run_id,
    "run_name": ended.info.run_name,
    "artifact_uri": ended.info.artifact_uri,
    "child": child.info.run_id,
    "child_name": child.info.run_name,
    "models": [output.model_id for output in outputs] + [info.model_id],
    "in_file": [
        line for line in (folder / "MLmodel").read_text().splitlines() if line.startswith(("run_id", "model_id", "artifact_path"))
    ],
}
print(json.dumps(told))

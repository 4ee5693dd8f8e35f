"""What users of MLflow do where their artifacts are in a folder, with the real client against a server that may look there."""

import json
import pathlib
import sys
import urllib.parse
import urllib.request

import mlflow
import numpy
from mlflow.artifacts import download_artifacts, list_artifacts
from sklearn.linear_model import LogisticRegression

client = mlflow.MlflowClient()
root = pathlib.Path(sys.argv[1])
server = mlflow.get_tracking_uri()


def asked(path, /, **query):
    with urllib.request.urlopen(f"{server}{path}?{urllib.parse.urlencode(query)}") as answer:
        return answer.read()


def listed(run_id, path=""):
    files = json.loads(asked("/api/2.0/mlflow/artifacts/list", run_id=run_id, path=path)).get("files", [])
    return {file["path"]: file.get("file_size") for file in files}


for number, location in enumerate([str(root / "plain"), (root / "as uri").as_uri()]):
    experiment = client.create_experiment(f"in {number}", artifact_location=location)
    mlflow.set_experiment(experiment_id=experiment)
    with mlflow.start_run() as run:
        mlflow.log_text("hello", "notes/a b.txt")
        mlflow.log_dict({"x": 1}, "config.json")
        rows = numpy.random.default_rng(0).normal(size=(80, 3))
        model = LogisticRegression().fit(rows, rows[:, 0] > 0)
        info = mlflow.sklearn.log_model(model, name="net", registered_model_name=f"net-{number}")
    run_id = run.info.run_id
    # What the client sees by itself and what the server shows is the same.
    seen = {file.path for file in list_artifacts(run_id=run_id)}
    assert set(listed(run_id)) == seen == {"notes", "config.json"}, (listed(run_id), seen)
    assert listed(run_id, "notes") == {"notes/a b.txt": 5}
    assert asked("/get-artifact", run_id=run_id, path="notes/a b.txt") == b"hello"
    assert pathlib.Path(download_artifacts(run_id=run_id, artifact_path="notes/a b.txt")).read_text() == "hello"
    version = client.get_model_version(f"net-{number}", "1")
    mlmodel = asked("/model-versions/get-artifact", name=version.name, version="1", path="MLmodel")
    assert b"sklearn" in mlmodel
    by_model = asked(f"/ajax-api/2.0/mlflow/logged-models/{info.model_id}/artifacts/files", artifact_file_path="MLmodel")
    assert by_model == mlmodel
    loaded = mlflow.sklearn.load_model(f"models:/net-{number}/1")
    assert (loaded.predict(rows) == model.predict(rows)).all()
    print(json.dumps({"experiment": experiment, "run": run_id, "model": info.model_id}))

"""Fills what MLflow keeps, a database or a folder, and its artifacts with all that the client can log, also what was deleted again."""

import mlflow
import numpy
import pandas
from mlflow.entities import Metric, Param, RunTag
from sklearn.linear_model import LogisticRegression

client = mlflow.MlflowClient()
frame = pandas.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "y": [0, 0, 1, 1]})
# Named, since finding them out takes seconds for each model.
packages = ["scikit-learn"]
model = LogisticRegression().fit(frame[["x"]], frame["y"])

mlflow.set_experiment("churn")
mlflow.set_experiment_tags({"team": "a", "mlflow.note.content": "with\nlines 'and' \"quotes\" ü"})
with mlflow.start_run(run_name="parent", description="first") as parent:
    mlflow.log_params({"lr": 0.1, "long": "x" * 5000, "empty": "", "ü/ä": "∞"})
    data = mlflow.data.from_pandas(frame, source="data.csv", name="rows", targets="y")
    mlflow.log_input(data, context="training")
    for step in range(50):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    for value in [float("nan"), float("inf"), -float("inf"), -0.0, 5e-324]:
        mlflow.log_metric("odd", value)
    info = mlflow.sklearn.log_model(
        model,
        name="net",
        params={"C": 1.0},
        tags={"kind": "linear"},
        registered_model_name="churn-net",
        pip_requirements=packages,
    )
    # At step 0, since from a folder of files MLflow gives such points back with no other.
    for at, value in enumerate([0.75, float("nan")]):
        mlflow.log_metric("accuracy", value, timestamp=1_700_000_000_000 + at, model_id=info.model_id, dataset=data)
    mlflow.log_text("a,b\n1,2\n", "tables/some name ü.csv")
    mlflow.log_text("", "empty.txt")
    with mlflow.start_run(nested=True, run_name="child"):
        mlflow.log_metric("fold", 1)
    with mlflow.start_run(nested=True, run_name="gone") as gone:
        mlflow.log_text("still here", "note.txt")
now = 1_700_000_000_000
points = [Metric("bulk", step / 7, now + step, step) for step in range(999)]
bulk = client.create_run("0", start_time=now, tags={"mlflow.user": "ann"}, run_name="bulk")
client.log_batch(bulk.info.run_id, metrics=points)
client.log_batch(bulk.info.run_id, params=[Param("p", "1")], tags=[RunTag("t", "2")])
client.set_terminated(bulk.info.run_id, status="FAILED", end_time=now + 5000)
open_run = client.create_run("0", run_name="open")

other = client.create_experiment("old", tags={"k": "v"})
inside = client.create_run(other, run_name="inside the deleted one")
client.log_text(inside.info.run_id, "kept", "kept.txt")
client.delete_experiment(other)
client.delete_run(gone.info.run_id)

with mlflow.start_run(run_name="second"):
    second = mlflow.sklearn.log_model(model, name="net", registered_model_name="churn-net", pip_requirements=packages)
    dropped = mlflow.sklearn.log_model(model, name="dropped", pip_requirements=packages)
client.delete_logged_model(dropped.model_id)
with mlflow.start_run(run_name="third"):
    mlflow.sklearn.log_model(model, name="net", registered_model_name="churn-net", pip_requirements=packages)
client.update_registered_model("churn-net", "who leaves")
client.set_registered_model_tag("churn-net", "owner", "ann")
client.update_model_version("churn-net", "1", "the first")
client.set_model_version_tag("churn-net", "1", "checked", "yes")
client.transition_model_version_stage("churn-net", "1", "Production")
client.set_registered_model_alias("churn-net", "champion", "1")
client.delete_model_version("churn-net", "3")
client.create_registered_model("nothing yet")
client.create_registered_model("elsewhere")
client.create_model_version("elsewhere", "s3://bucket/models/1")
mlflow.genai.register_prompt(name="greeting", template="Hello {{name}}", commit_message="one")
mlflow.genai.register_prompt(name="greeting", template="Good day {{name}}")
mlflow.genai.set_prompt_alias("greeting", "live", 1)
numpy.testing.assert_array_equal(
    mlflow.sklearn.load_model("models:/churn-net@champion").predict(frame[["x"]]), model.predict(frame[["x"]])
)

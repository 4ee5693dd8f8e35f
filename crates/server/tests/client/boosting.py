"""Autologging of XGBoost and LightGBM, with the real packages and the real client against a server."""

import math
import sys

import lightgbm
import mlflow
import numpy
import xgboost
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

client = mlflow.MlflowClient()
mlflow.set_experiment("boosting")
features, labels = load_iris(return_X_y=True, as_frame=True)
parts = train_test_split(features, labels, test_size=0.3, random_state=0)


def steps_of(run_id, key):
    return [point.step for point in client.get_metric_history(run_id, key)]


def model_of(run, flavour):
    """The one model of a run, ready, with its files."""
    (output,) = mlflow.get_run(run.info.run_id).outputs.model_outputs
    model = mlflow.get_logged_model(output.model_id)
    assert model.status.value == "READY" and model.source_run_id == run.info.run_id, model
    assert flavour in mlflow.models.get_model_info(model.model_uri).flavors
    return model.model_uri


def xgboost_trains():
    train, test, train_labels, test_labels = parts
    mlflow.xgboost.autolog()
    data = xgboost.DMatrix(train, label=train_labels)
    checked = xgboost.DMatrix(test, label=test_labels)
    settings = {"objective": "multi:softprob", "num_class": 3, "eval_metric": "mlogloss", "learning_rate": 0.3, "seed": 0}
    with mlflow.start_run() as run:
        booster = xgboost.train(settings, data, num_boost_round=7, evals=[(checked, "test")])
        mlflow.log_metric("mine", 1.5)
    found = mlflow.get_run(run.info.run_id)
    assert found.data.params["objective"] == "multi:softprob" and found.data.params["num_boost_round"] == "7"
    assert steps_of(run.info.run_id, "test-mlogloss") == list(range(7))
    assert found.data.metrics["test-mlogloss"] < 0.5 and found.data.metrics["mine"] == 1.5
    names = {entry.path for entry in client.list_artifacts(run.info.run_id)}
    assert {"feature_importance_weight.json", "feature_importance_weight.png"} <= names, names
    loaded = mlflow.xgboost.load_model(model_of(run, "xgboost"))
    assert numpy.array_equal(loaded.predict(checked), booster.predict(checked))

    with mlflow.start_run() as run:
        classifier = xgboost.XGBClassifier(n_estimators=5, max_depth=2).fit(train, train_labels)
    assert mlflow.get_run(run.info.run_id).data.params["max_depth"] == "2"
    loaded = mlflow.pyfunc.load_model(model_of(run, "xgboost"))
    assert (loaded.predict(test) == classifier.predict(test)).all()
    mlflow.xgboost.autolog(disable=True)


def lightgbm_trains():
    train, test, train_labels, test_labels = parts
    mlflow.lightgbm.autolog()
    data = lightgbm.Dataset(train, label=train_labels)
    checked = lightgbm.Dataset(test, label=test_labels, reference=data)
    settings = {"objective": "multiclass", "num_class": 3, "metric": "multi_logloss", "verbosity": -1, "seed": 0, "num_threads": 1}
    with mlflow.start_run() as run:
        booster = lightgbm.train(settings, data, num_boost_round=6, valid_sets=[data, checked], valid_names=["train", "test"])
    found = mlflow.get_run(run.info.run_id)
    assert found.data.params["objective"] == "multiclass"
    assert steps_of(run.info.run_id, "test-multi_logloss") == list(range(6))
    assert not math.isnan(found.data.metrics["train-multi_logloss"])
    names = {entry.path for entry in client.list_artifacts(run.info.run_id)}
    assert {"feature_importance_split.json", "feature_importance_gain.png"} <= names, names
    loaded = mlflow.lightgbm.load_model(model_of(run, "lightgbm"))
    assert numpy.array_equal(loaded.predict(test), booster.predict(test))
    mlflow.lightgbm.autolog(disable=True)


def found_by_search():
    best = mlflow.search_runs(
        experiment_names=["boosting"],
        filter_string="params.objective LIKE 'multi%'",
        order_by=["metrics.`test-mlogloss` ASC"],
        output_format="list",
    )
    assert "test-mlogloss" in best[0].data.metrics, best[0]
    assert {run.data.params["objective"] for run in best} == {"multi:softprob", "multiclass"}, best


xgboost_trains()
lightgbm_trains()
found_by_search()
print("done", file=sys.stderr)

"""Logs params, a series of metrics and an artifact with the MLflow client."""

import pathlib

import joblib
import mlflow
import pandas as pd
from sklearn.linear_model import SGDRegressor
from sklearn.preprocessing import StandardScaler

OUT = pathlib.Path("outputs/mlflow_logging")

frame = pd.read_csv("data/diabetes.csv")
features = StandardScaler().fit_transform(frame.drop(columns="target"))
model = SGDRegressor(random_state=12, eta0=0.005)

OUT.mkdir(parents=True, exist_ok=True)
with mlflow.start_run():
    mlflow.log_params({"eta0": 0.005, "epochs": 10})
    for epoch in range(10):
        model.partial_fit(features, frame["target"])
        mlflow.log_metric("r2", model.score(features, frame["target"]), step=epoch)
    joblib.dump(model, OUT / "model.joblib")
    mlflow.log_artifact(str(OUT / "model.joblib"))

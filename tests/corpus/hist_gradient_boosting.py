"""Histogram gradient boosting, which uses all cores through OpenMP."""

import json
import pathlib

import joblib
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split

OUT = pathlib.Path("outputs/hist_gradient_boosting")

frame = pd.read_csv("data/diabetes.csv")
features, target = frame.drop(columns="target"), frame["target"]
train_x, test_x, train_y, test_y = train_test_split(features, target, random_state=2)
model = HistGradientBoostingRegressor(max_iter=80, learning_rate=0.06, random_state=2)
model.fit(train_x, train_y)

OUT.mkdir(parents=True, exist_ok=True)
joblib.dump(model, OUT / "model.joblib", compress=3)
metrics = {"mean_absolute_error": mean_absolute_error(test_y, model.predict(test_x))}
(OUT / "metrics.json").write_text(json.dumps(metrics))

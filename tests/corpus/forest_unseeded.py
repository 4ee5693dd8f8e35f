"""A forest without a seed: another model each time."""

import json
import pathlib

import joblib
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

OUT = pathlib.Path("outputs/forest_unseeded")

frame = pd.read_csv("data/breast_cancer.csv")
features, labels = frame.drop(columns="target"), frame["target"]
train_x, test_x, train_y, test_y = train_test_split(features, labels)
model = RandomForestClassifier(n_estimators=60).fit(train_x, train_y)

OUT.mkdir(parents=True, exist_ok=True)
joblib.dump(model, OUT / "model.joblib")
(OUT / "metrics.json").write_text(json.dumps({"accuracy": model.score(test_x, test_y)}))

"""A seeded forest grown by two threads; kept with joblib."""

import json
import pathlib

import joblib
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

OUT = pathlib.Path("outputs/random_forest_threads")

frame = pd.read_csv("data/breast_cancer.csv")
features, labels = frame.drop(columns="target"), frame["target"]
train_x, test_x, train_y, test_y = train_test_split(features, labels, random_state=1)
model = RandomForestClassifier(n_estimators=120, n_jobs=2, random_state=1, oob_score=True)
model.fit(train_x, train_y)

OUT.mkdir(parents=True, exist_ok=True)
joblib.dump(model, OUT / "model.joblib")
metrics = {"accuracy": model.score(test_x, test_y), "out_of_bag": float(model.oob_score_)}
(OUT / "metrics.json").write_text(json.dumps(metrics))

"""Writes beside the target and renames, as careful programs do."""

import json
import os
import pathlib

import joblib
import pandas as pd
from sklearn.neighbors import KNeighborsClassifier

OUT = pathlib.Path("outputs/rename_into_place")

frame = pd.read_csv("data/iris.csv")
model = KNeighborsClassifier(n_neighbors=7).fit(frame.drop(columns="target"), frame["target"])

OUT.mkdir(parents=True, exist_ok=True)
for version in range(3):
    joblib.dump((version, model), OUT / "model.joblib.part")
    os.replace(OUT / "model.joblib.part", OUT / "model.joblib")
score = model.score(frame.drop(columns="target"), frame["target"])
(OUT / "metrics.json.part").write_text(json.dumps({"accuracy": score}))
os.replace(OUT / "metrics.json.part", OUT / "metrics.json")

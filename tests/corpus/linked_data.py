"""Reads through a symbolic link, and leaves one to what it wrote."""

import json
import os
import pathlib
import pickle

import pandas as pd
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

OUT = pathlib.Path("outputs/linked_data")

frame = pd.read_csv("data/current.csv")
features, labels = frame.drop(columns="target"), frame["target"]
model = LinearDiscriminantAnalysis().fit(features, labels)

OUT.mkdir(parents=True, exist_ok=True)
(OUT / "model-1.pkl").write_bytes(pickle.dumps(model))
if not (OUT / "latest.pkl").is_symlink():
    os.symlink("model-1.pkl", OUT / "latest.pkl")
(OUT / "metrics.json").write_text(json.dumps({"accuracy": model.score(features, labels)}))

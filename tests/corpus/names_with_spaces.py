"""Reads and writes files whose names hold spaces and letters beyond ASCII."""

import json
import pathlib
import pickle

import pandas as pd
from sklearn.naive_bayes import GaussianNB

OUT = pathlib.Path("outputs/names with spaces")

frame = pd.read_csv("data/iris with spaces.csv")
features, labels = frame.drop(columns="target"), frame["target"]
model = GaussianNB().fit(features, labels)

OUT.mkdir(parents=True, exist_ok=True)
(OUT / "modèle numéro un.pkl").write_bytes(pickle.dumps(model))
(OUT / "metrics of it.json").write_text(json.dumps({"accuracy": model.score(features, labels)}))

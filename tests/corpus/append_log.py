"""Opens one log again and again, and appends to it."""

import json
import pathlib

import pandas as pd
from sklearn.linear_model import SGDClassifier
from sklearn.preprocessing import StandardScaler

OUT = pathlib.Path("outputs/append_log")

frame = pd.read_csv("data/breast_cancer.csv")
features = StandardScaler().fit_transform(frame.drop(columns="target"))
model = SGDClassifier(random_state=11)

OUT.mkdir(parents=True, exist_ok=True)
for epoch in range(8):
    model.partial_fit(features, frame["target"], classes=[0, 1])
    score = model.score(features, frame["target"])
    with open(OUT / "epochs.csv", "a") as file:
        file.write(f"{epoch},{score!r}\n")
(OUT / "metrics.json").write_text(json.dumps({"accuracy": score}))

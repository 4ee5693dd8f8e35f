"""Scores how unusual each row is."""

import json
import pathlib

import pandas as pd
from sklearn.ensemble import IsolationForest

OUT = pathlib.Path("outputs/isolation_forest")

frame = pd.read_csv("data/breast_cancer.csv").drop(columns="target")
model = IsolationForest(n_estimators=80, contamination=0.05, random_state=9).fit(frame)
scores = model.score_samples(frame)

OUT.mkdir(parents=True, exist_ok=True)
pd.DataFrame({"score": scores}).to_csv(OUT / "scores.csv")
metrics = {"score_lowest": float(scores.min()), "outliers": int((model.predict(frame) < 0).sum())}
(OUT / "metrics.json").write_text(json.dumps(metrics))

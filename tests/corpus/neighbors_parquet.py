"""Reads Parquet, predicts with neighbours, and writes Parquet."""

import json
import pathlib

import pandas as pd
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import RobustScaler

OUT = pathlib.Path("outputs/neighbors_parquet")

frame = pd.read_parquet("data/wine.parquet")
features = RobustScaler().fit_transform(frame.drop(columns="target"))
model = KNeighborsClassifier(n_neighbors=5, n_jobs=2).fit(features, frame["target"])
frame["predicted"] = model.predict(features)

OUT.mkdir(parents=True, exist_ok=True)
frame.to_parquet(OUT / "predicted.parquet")
metrics = {"accuracy": float((frame["predicted"] == frame["target"]).mean())}
(OUT / "metrics.json").write_text(json.dumps(metrics))

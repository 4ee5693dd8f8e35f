"""Principal components of the wine data, written as CSV."""

import json
import pathlib

import pandas as pd
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

OUT = pathlib.Path("outputs/pca_projection")

frame = pd.read_csv("data/wine.csv")
scaled = StandardScaler().fit_transform(frame.drop(columns="target"))
model = PCA(n_components=3)
projected = pd.DataFrame(model.fit_transform(scaled), columns=["first", "second", "third"])
projected["target"] = frame["target"]

OUT.mkdir(parents=True, exist_ok=True)
projected.to_csv(OUT / "projected.csv", index=False)
metrics = {"explained_variance": float(model.explained_variance_ratio_.sum())}
(OUT / "metrics.json").write_text(json.dumps(metrics))

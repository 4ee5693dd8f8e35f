"""Numbers and categories of one table, each column prepared in its own way."""

import json
import pathlib

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

OUT = pathlib.Path("outputs/column_pipeline")

frame = pd.read_csv("data/wine.csv")
generator = np.random.default_rng(6)
frame["strength"] = np.where(frame["alcohol"] > 13, "strong", "light")
frame.loc[generator.choice(len(frame), 15, replace=False), "hue"] = np.nan
numbers = ["alcohol", "malic_acid", "hue", "ash"]
prepare = ColumnTransformer([
    ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
    ("categories", OneHotEncoder(handle_unknown="ignore"), ["strength"]),
])
model = Pipeline([("prepare", prepare), ("classify", LogisticRegression(max_iter=300))])
scores = cross_val_score(model, frame, frame["target"], cv=5)
model.fit(frame, frame["target"])

OUT.mkdir(parents=True, exist_ok=True)
joblib.dump(model, OUT / "model.joblib")
metrics = {"score_mean": float(scores.mean()), "score_deviation": float(scores.std())}
(OUT / "metrics.json").write_text(json.dumps(metrics))

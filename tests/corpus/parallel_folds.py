"""Folds fitted in joblib's worker processes, each with a seed of its own."""

import json
import pathlib

import joblib
import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import KFold

OUT = pathlib.Path("outputs/parallel_folds")


def fit(features, labels, train, test, seed):
    model = ExtraTreesClassifier(n_estimators=40, random_state=seed)
    model.fit(features[train], labels[train])
    return model.score(features[test], labels[test]), model.feature_importances_


frame = pd.read_csv("data/wine.csv")
features, labels = frame.drop(columns="target").to_numpy(), frame["target"].to_numpy()
folds = KFold(n_splits=4, shuffle=True, random_state=10).split(features)
results = joblib.Parallel(n_jobs=2)(
    joblib.delayed(fit)(features, labels, train, test, seed)
    for seed, (train, test) in enumerate(folds)
)

OUT.mkdir(parents=True, exist_ok=True)
np.save(OUT / "importances.npy", np.array([importances for _, importances in results]))
scores = {f"fold_{number}": score for number, (score, _) in enumerate(results)}
(OUT / "metrics.json").write_text(json.dumps(scores))

"""Logistic regression on scaled columns; the model is pickled."""

import json
import pathlib
import pickle

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

OUT = pathlib.Path("outputs/logistic_regression")

frame = pd.read_csv("data/breast_cancer.csv")
features, labels = frame.drop(columns="target"), frame["target"]
train_x, test_x, train_y, test_y = train_test_split(
    features, labels, test_size=0.25, random_state=0, stratify=labels
)
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
model.fit(train_x, train_y)

OUT.mkdir(parents=True, exist_ok=True)
(OUT / "model.pkl").write_bytes(pickle.dumps(model))
metrics = {
    "accuracy": accuracy_score(test_y, model.predict(test_x)),
    "auc": roc_auc_score(test_y, model.predict_proba(test_x)[:, 1]),
}
(OUT / "metrics.json").write_text(json.dumps(metrics))

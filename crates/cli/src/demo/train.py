"""Trains a classifier on the breast-cancer data. Nothing in here knows of Reproof."""

import argparse
import csv
import json
import pathlib

import joblib
import mlflow
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

parser = argparse.ArgumentParser()
parser.add_argument("--model", choices=["forest", "logistic"], default="forest")
parser.add_argument("--trees", type=int, default=100)
parser.add_argument("--c", type=float, default=1.0)
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()

with open("data/breast_cancer.csv", newline="") as file:
    rows = list(csv.reader(file))[1:]
table = np.array(rows, dtype=float)
features, labels = table[:, :-1], table[:, -1].astype(int)
train_x, test_x, train_y, test_y = train_test_split(
    features, labels, test_size=0.3, random_state=arguments.seed, stratify=labels
)

if arguments.model == "forest":
    model = RandomForestClassifier(n_estimators=arguments.trees, random_state=arguments.seed)
else:
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=arguments.c, random_state=arguments.seed)
    )
model.fit(train_x, train_y)
scores = model.predict_proba(test_x)[:, 1]
accuracy = accuracy_score(test_y, scores > 0.5)
auc = roc_auc_score(test_y, scores)

pathlib.Path("out").mkdir(exist_ok=True)
joblib.dump(model, "out/model.joblib")
pathlib.Path("out/scores.json").write_text(json.dumps([round(score, 6) for score in scores]))

with mlflow.start_run():
    mlflow.log_param("rows", len(table))
    mlflow.log_metrics({"accuracy": accuracy, "auc": auc})
    mlflow.log_artifact("out/model.joblib")
print(f"{arguments.model}: accuracy {accuracy:.4f}, auc {auc:.4f}")

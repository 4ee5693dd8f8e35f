"""No seed, and nothing but a metric: close to what it was, not equal."""

import mlflow
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

frame = pd.read_csv("data/breast_cancer.csv")
features, labels = frame.drop(columns="target"), frame["target"]
train_x, test_x, train_y, test_y = train_test_split(features, labels, random_state=14)
model = RandomForestClassifier(n_estimators=100).fit(train_x, train_y)
with mlflow.start_run():
    mlflow.log_metric("probability_mean", float(model.predict_proba(test_x)[:, 1].mean()))

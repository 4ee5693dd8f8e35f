"""Lets MLflow log everything by itself, the model included."""

import mlflow
import pandas as pd
from sklearn.linear_model import Lasso
from sklearn.model_selection import train_test_split

mlflow.sklearn.autolog()

frame = pd.read_csv("data/diabetes.csv")
features, target = frame.drop(columns="target"), frame["target"]
train_x, test_x, train_y, test_y = train_test_split(features, target, random_state=13)
with mlflow.start_run():
    model = Lasso(alpha=0.1).fit(train_x, train_y)
    model.score(test_x, test_y)

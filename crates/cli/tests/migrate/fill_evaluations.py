"""Fills MLflow's database with evaluation datasets, scorers and webhooks, after `fill.py`."""

import time

import mlflow
from mlflow.genai.datasets import add_dataset_to_experiments, create_dataset, get_dataset, set_dataset_tags
from mlflow.genai.judges import make_judge
from mlflow.genai.scorers import delete_scorer, get_scorer

client = mlflow.MlflowClient()
churn = mlflow.set_experiment("churn").experiment_id

dataset = create_dataset("qa", experiment_id=churn, tags={"team": "ä"})
records = [
    {"inputs": {"question": f"{number}?", "deep": [{"b": 1, "a": None}]}, "expectations": {"answer": number / 3}, "tags": {"k": "v"}}
    for number in range(7)
]
dataset.merge_records(records)
time.sleep(0.01)
# Two are there, one of them is said by somebody else.
dataset.merge_records(
    [
        {"inputs": records[0]["inputs"], "outputs": {"said": "0"}, "tags": {"mlflow.user": "bob", "k": "w"}},
        {"inputs": records[1]["inputs"], "expectations": {"other": [1, 2.5, "x"]}},
        {"inputs": {"question": "new"}, "outputs": "a text", "source": {"source_type": "HUMAN", "source_data": {"user_name": "ann"}}},
    ]
)
time.sleep(0.01)
add_dataset_to_experiments(dataset_id=dataset.dataset_id, experiment_ids=["0"])
set_dataset_tags(dataset_id=dataset.dataset_id, tags={"later": "1"})
shorter = create_dataset("shorter", experiment_id="0")
shorter.merge_records([{"inputs": {"n": number}} for number in range(3)])
last = get_dataset(dataset_id=shorter.dataset_id).to_df()["dataset_record_id"].tolist()[-1]
shorter.delete_records([last])
create_dataset("empty", experiment_id="0")

for instructions in ("Is {{ outputs }} right for {{ inputs }}?", "Is {{ outputs }} good?", "Is {{ outputs }} short?"):
    make_judge(name="right", instructions=instructions, model="openai:/gpt-4o").register(experiment_id=churn)
delete_scorer(name="right", experiment_id=churn, version=2)
judge = make_judge(name="wrong", instructions="Is {{ outputs }} wrong?", model="openai:/gpt-4o").register(experiment_id="0")
get_scorer(name="wrong", experiment_id="0").stop(experiment_id="0")

events = ["model_version.created", "prompt_alias.deleted", "registered_model.created"]
client.create_webhook("signed", "https://127.0.0.1:9/a?b=c", events, description="who signs", secret="s3cr3t of the hook ü")
client.create_webhook("plain", "https://127.0.0.1:9/", ["prompt.created"], status="DISABLED")
gone = client.create_webhook("gone", "https://127.0.0.1:9/gone", ["prompt.created"])
client.delete_webhook(gone.webhook_id)

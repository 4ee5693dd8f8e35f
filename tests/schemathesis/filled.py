"""Fills a store through the server: some of everything, so that requests hit what is there.

`fill` gives what the things are called, under the names that parameters and members of bodies have for them.
"""

import base64
import json
import urllib.error
import urllib.request

V2 = "/api/2.0/mlflow"
V3 = "/api/3.0/mlflow"

# Of each kind, since requests delete some.
COUNT = 4


class Filling:
    def __init__(self, address: str, user: str, password: str) -> None:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.address = address
        self.headers = {"content-type": "application/json", "authorization": f"Basic {pair}"}
        self.known: dict[str, list] = {}

    def ask(self, method: str, path: str, body: object, headers: dict | None = None) -> dict:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {**self.headers, **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                said = answer.read()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from error
        return json.loads(said) if answer.headers["content-type"] == "application/json" else {}

    def post(self, path: str, body: object) -> dict:
        return self.ask("POST", path, body)

    def note(self, value: object, *names: str) -> None:
        for name in names:
            self.known.setdefault(name, []).append(value)


def fill(address: str, user: str, password: str) -> dict[str, list]:
    filling = Filling(address, user, password)
    for number in range(COUNT):
        experiment = filling.post(f"{V2}/experiments/create", {"name": f"e{number}"})["experiment_id"]
        filling.note(experiment, "experiment_id", "experiment_ids")
        filling.note(f"e{number}", "experiment_name")
        run = fill_run(filling, experiment)
        fill_models(filling, experiment, run, number)
        fill_traces(filling, experiment, run, number)
        fill_evaluations(filling, experiment, run, number)
        fill_access(filling, experiment, number)
    return filling.known


def fill_run(filling: Filling, experiment: str) -> str:
    made = filling.post(f"{V2}/runs/create", {"experiment_id": experiment, "start_time": 1})
    run = made["run"]["info"]["run_id"]
    filling.note(run, "run_id", "run_uuid", "run_ids", "source_run_id")
    values = [0.5, "NaN", "Infinity", "-Infinity"]
    points = [{"key": "loss", "value": value, "timestamp": 1, "step": step} for step, value in enumerate(values)]
    pairs = [{"key": "k", "value": "v"}]
    filling.post(f"{V2}/runs/log-batch", {"run_id": run, "metrics": points, "params": pairs, "tags": pairs})
    filling.note("loss", "metric_key")
    dataset = {"name": "d", "digest": "1", "source_type": "local", "source": "{}", "schema": "{}", "profile": "{}"}
    tags = [{"key": "mlflow.data.context", "value": "training"}]
    filling.post(f"{V2}/runs/log-inputs", {"run_id": run, "datasets": [{"dataset": dataset, "tags": tags}]})
    path = f"{experiment}/{run}/artifacts/a.txt"
    filling.ask("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{path}", b"a text")
    filling.note("a.txt", "path")
    filling.note(path, "path")
    return run


def fill_models(filling: Filling, experiment: str, run: str, number: int) -> None:
    pairs = [{"key": "k", "value": "v"}]
    body = {"experiment_id": experiment, "source_run_id": run, "params": pairs, "tags": pairs}
    model = filling.post(f"{V2}/logged-models", body)["model"]["info"]["model_id"]
    filling.note(model, "model", "model_id")
    path = f"{experiment}/models/{model}/artifacts/MLmodel"
    filling.ask("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{path}", b"name: m")
    filling.note("MLmodel", "artifact_file_path")
    filling.ask("PATCH", f"{V2}/logged-models/{model}", {"status": "LOGGED_MODEL_READY"})
    for name in ["log-inputs", "outputs"]:
        filling.post(f"{V2}/runs/{name}", {"run_id": run, "models": [{"model_id": model, "step": 1}]})
    name = f"m{number}"
    filling.post(f"{V2}/registered-models/create", {"name": name, "tags": pairs, "description": "d"})
    source = {"source": f"models:/{model}", "model_id": model, "run_id": run}
    filling.post(f"{V2}/model-versions/create", {**source, "name": name, "tags": pairs})
    filling.post(f"{V2}/registered-models/alias", {"name": name, "version": "1", "alias": "a"})
    filling.note(name, "name")
    filling.note("1", "version")
    filling.note("a", "alias")
    event = {"entity": "MODEL_VERSION", "action": "CREATED"}
    # Nobody listens there.
    hook = {"name": "h", "url": "http://127.0.0.1:9/", "events": [event], "status": "DISABLED"}
    filling.note(filling.post(f"{V2}/webhooks", hook)["webhook"]["webhook_id"], "webhook")


def fill_traces(filling: Filling, experiment: str, run: str, number: int) -> None:
    digits = f"{number + 1:032x}"
    trace = f"tr-{digits}"
    attributes = [
        {"key": "list", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"doubleValue": 0.5}]}}},
        {"key": "none", "value": {}},
    ]
    span = {
        "traceId": digits, "spanId": f"{number + 1:016x}", "name": "s", "attributes": attributes,
        "startTimeUnixNano": "1760000000000000000", "endTimeUnixNano": "1760000001000000000",
        "events": [{"timeUnixNano": "1760000000500000000", "name": "e", "attributes": attributes}],
        "status": {"code": 1},
    }
    spans = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    headers = {"x-mlflow-experiment-id": experiment, "x-mlflow-run-id": run}
    filling.ask("POST", "/v1/traces", spans, headers)
    filling.note(trace, "trace", "trace_id", "trace_ids", "request_id", "request_ids")
    assessment = {"assessment_name": "n", "source": {"source_type": "HUMAN"}, "feedback": {"value": [1, None]}}
    made = filling.post(f"{V3}/traces/{trace}/assessments", {"assessment": assessment})
    filling.note(made["assessment"]["assessment_id"], "assessment")
    body = {"experiment_id": experiment, "timestamp_ms": 1, "request_metadata": [{"key": "k", "value": "v"}]}
    filling.post(f"{V2}/traces", body)


def fill_evaluations(filling: Filling, experiment: str, run: str, number: int) -> None:
    body = {"name": f"d{number}", "experiment_ids": [experiment]}
    dataset = filling.post(f"{V3}/datasets/create", body)["dataset"]["dataset_id"]
    filling.note(dataset, "dataset")
    records = json.dumps([{"inputs": {"q": 1}}, {"inputs": {"q": 2}}])
    filling.post(f"{V3}/datasets/{dataset}/records", {"records": records})
    body = {"experiment_id": experiment, "name": f"m{number}", "serialized_scorer": '{"name": "s"}'}
    filling.note(filling.post(f"{V3}/scorers/register", body)["scorer_id"], "scorer_ids")
    filling.note(f"m{number}", "scorer_name")
    body = {"experiment_id": experiment, "name": "i", "description": "d", "severity": "low", "source_run_id": run}
    filling.note(filling.post(f"{V3}/issues", body)["issue"]["issue_id"], "issue")
    inputs = [
        {"pass_fail": {"positive_label": "y", "negative_label": "n"}},
        {"categorical": {"options": ["a", "b"]}},
        {"numeric": {"min_value": 0}},
        {"text": {}},
    ]
    body = {"experiment_id": experiment, "name": f"m{number}", "type": "FEEDBACK", "input": inputs[number % 4]}
    filling.note(filling.post(f"{V3}/label-schemas/create", body)["label_schema"]["schema_id"], "schema_id")


def fill_access(filling: Filling, experiment: str, number: int) -> None:
    user = f"user{number}"
    filling.post(f"{V2}/users/create", {"username": user, "password": "a-long-password"})
    filling.note(user, "username")
    role = filling.post(f"{V3}/roles/create", {"name": f"r{number}", "workspace": "default"})["role"]["id"]
    filling.note(role, "role_id")
    body = {"role_id": role, "resource_type": "experiment", "resource_pattern": "*", "permission": "READ"}
    right = filling.post(f"{V3}/roles/permissions/add", body)["role_permission"]["id"]
    filling.note(right, "role_permission_id")
    filling.post(f"{V3}/roles/assign", {"username": user, "role_id": role})
    body = {"username": user, "experiment_id": experiment, "permission": "EDIT"}
    filling.post(f"{V2}/experiments/permissions/create", body)

"""Sends tracking requests to a server that speaks the MLflow REST API, and prints rates as JSON lines.

    tracking_client.py URL SERVER_PID SECONDS

The same requests go to every server.
"""

import json
import os
import random
import time

from server_client import Client, measure, now_ms, settle


def main():
    client = Client()
    name = f"bench-{now_ms()}"
    experiment = client.post("experiments/create", {"name": name})["experiment_id"]

    def make_run(client):
        body = {"experiment_id": experiment, "start_time": now_ms(), "tags": []}
        return client.post("runs/create", body)["run"]["info"]["run_id"]

    def log_metric(client):
        run = make_run(client)

        def send(step):
            point = {"key": "loss", "value": random.random(), "timestamp": now_ms(), "step": step}
            client.post("runs/log-metric", {"run_id": run, **point})

        return send

    def log_batch(client):
        run = make_run(client)

        def send(number):
            time_ms = now_ms()
            points = [
                {"key": "loss", "value": random.random(), "timestamp": time_ms, "step": step}
                for step in range(number * 1000, number * 1000 + 1000)
            ]
            client.post("runs/log-batch", {"run_id": run, "metrics": points})

        return send

    def log_keys(client):
        run = make_run(client)

        def send(number):
            time_ms = now_ms()
            points = [
                {"key": f"metric {key}", "value": random.random(), "timestamp": time_ms, "step": number}
                for key in range(1000)
            ]
            client.post("runs/log-batch", {"run_id": run, "metrics": points})

        return send

    def create_run(client):
        return lambda _: make_run(client)

    def text(key, value):
        return {"key": key, "value": {"stringValue": value}}

    def make_trace(client):
        """A request to an agent: its root, and four steps with prompts and answers."""
        trace = os.urandom(16).hex()
        ids = [os.urandom(8).hex() for _ in range(5)]
        start = time.time_ns()
        spans = [
            {
                "traceId": trace,
                "spanId": id,
                "parentSpanId": ids[0] if place else "",
                "name": f"step {place}",
                "startTimeUnixNano": str(start + place),
                "endTimeUnixNano": str(start + 1_000_000_000),
                "attributes": [
                    text("gen_ai.operation.name", "chat"),
                    text("gen_ai.request.model", "a-model"),
                    text("mlflow.spanInputs", json.dumps({"messages": [{"role": "user", "content": "why " * 50}]})),
                    text("mlflow.spanOutputs", json.dumps({"answer": "because " * 50})),
                    {"key": "gen_ai.usage.input_tokens", "value": {"intValue": 50}},
                    {"key": "gen_ai.usage.output_tokens", "value": {"intValue": 60}},
                ],
            }
            for place, id in enumerate(ids)
        ]
        body = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
        client.post("/v1/traces", body, **{"x-mlflow-experiment-id": experiment})
        return "tr-" + trace

    def trace(client):
        return lambda _: make_trace(client)

    def search_traces(client):
        place = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}]
        body = {"locations": place, "filter": "span.name = 'step 3'", "max_results": 100}
        return lambda _: client.post("/api/3.0/mlflow/traces/search", body)

    def get_trace(client):
        id = make_trace(client)
        return lambda _: client.get(f"/api/3.0/mlflow/traces/get?trace_id={id}")

    warm = log_metric(client)
    for number in range(20):
        warm(number)
    settle()
    measure("log_metric", log_metric)
    measure("log_metric, 8 connections", log_metric, connections=8)
    measure("log_batch of 1000", log_batch)
    measure("log_batch of 1000, 8 connections", log_batch, connections=8)
    measure("log_batch of 1000 keys", log_keys)
    measure("create_run", create_run)
    measure("create_run, 8 connections", create_run, connections=8)
    measure("trace of 5 spans", trace)
    measure("trace of 5 spans, 8 connections", trace, connections=8)
    measure("search for 100 traces by a span", search_traces)
    measure("get a trace of 5 spans", get_trace)


main()

"""Sends tracking requests to a server that speaks the MLflow REST API, and prints rates as JSON lines.

    tracking_client.py URL SERVER_PID SECONDS

The same requests go to every server: only the standard library is used, so that the client costs the same.
"""

import http.client
import json
import os
import random
import sys
import threading
import time
import urllib.parse

URL = urllib.parse.urlparse(sys.argv[1])
SERVER = int(sys.argv[2])
SECONDS = float(sys.argv[3])


def processes():
    """All processes: parent and CPU ticks by process id."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            found[int(name)] = (int(fields[1]), int(fields[11]) + int(fields[12]))
    return found


def cpu_ms():
    """CPU time that the server's process and its descendants have used."""
    found = processes()
    family = {SERVER}
    while True:
        more = {pid for pid, (parent, _) in found.items() if parent in family} - family
        if not more:
            break
        family |= more
    ticks = sum(found[pid][1] for pid in family if pid in found)
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


class Client:
    """One connection that is kept open."""

    def __init__(self):
        self.connection = http.client.HTTPConnection(URL.hostname, URL.port, timeout=120)

    def post(self, path, body, **headers):
        path = path if path.startswith("/") else "/api/2.0/mlflow/" + path
        return self.send("POST", path, json.dumps(body).encode(), headers)

    def get(self, path):
        return self.send("GET", path, None, {})

    def send(self, method, path, text, headers):
        headers = {"Content-Type": "application/json", **headers}
        for attempt in range(2):
            try:
                self.connection.request(method, path, text, headers)
                response = self.connection.getresponse()
                break
            except (ConnectionError, http.client.RemoteDisconnected):
                # The server may close a connection that was idle.
                self.connection.close()
                if attempt:
                    raise
        answer = response.read()
        if response.status != 200:
            raise SystemExit(f"{path}: {response.status} {answer[:300]}")
        is_json = response.getheader("Content-Type", "").startswith("application/json")
        return json.loads(answer or b"{}") if is_json else {}


def now_ms():
    return int(time.time() * 1000)


def settle():
    """Waits until the server has done what it does at its start."""
    for _ in range(60):
        before = cpu_ms()
        time.sleep(0.5)
        if cpu_ms() - before < 20:
            return


def measure(name, make_sender, connections=1):
    """Sends from some connections at once for SECONDS, and prints what it took.

    `make_sender` is given a connection and returns what sends one request, given its number.
    """
    senders = [make_sender(Client()) for _ in range(connections)]
    latencies = []
    cpu_before, start = cpu_ms(), time.perf_counter()

    def work(send):
        number = 0
        while time.perf_counter() - start < SECONDS:
            sent = time.perf_counter()
            send(number)
            latencies.append(time.perf_counter() - sent)
            number += 1

    threads = [threading.Thread(target=work, args=(send,)) for send in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - start
    cpu_after = cpu_ms()
    latencies.sort()
    count = len(latencies)
    figures = {
        "name": name,
        "requests": count,
        "requests_per_s": count / elapsed,
        "latency_ms_p50": latencies[count // 2] * 1000,
        "latency_ms_p95": latencies[min(count - 1, count * 95 // 100)] * 1000,
        "cpu_ms_per_request": (cpu_after - cpu_before) / count,
    }
    print(json.dumps(figures), flush=True)


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
    measure("create_run", create_run)
    measure("trace of 5 spans", trace)
    measure("trace of 5 spans, 8 connections", trace, connections=8)
    measure("search for 100 traces by a span", search_traces)
    measure("get a trace of 5 spans", get_trace)


main()

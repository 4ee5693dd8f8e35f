"""What users of MLflow do with webhooks, with the real client against a server.

The server must let webhooks be in this machine: MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http, MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true.
"""

import http.server
import json
import threading
import time

import mlflow
from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent
from mlflow.exceptions import MlflowException
from mlflow.webhooks import WEBHOOK_SIGNATURE_HEADER
from mlflow.webhooks.delivery import _generate_hmac_signature

SECRET = "a-s3cr3t-that-nobody-tells"
client = mlflow.MlflowClient()
received = []
arrived = threading.Condition()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with arrived:
            received.append((self.path, dict(self.headers), body))
            arrived.notify_all()
        answer = b'{"got": "it"}'
        self.send_response(404 if self.path == "/gone" else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{receiver.server_port}"


def refused(code, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except MlflowException as error:
        assert error.error_code == code, error
        return str(error)
    raise AssertionError(f"{call} was not refused")


def wait_for(count):
    with arrived:
        assert arrived.wait_for(lambda: len(received) >= count, timeout=30), received
        time.sleep(0.2)
        assert len(received) == count, received
        taken, received[:] = list(received), []
    return taken


def check_signature(headers, body):
    """As MLflow's documentation shows it, with its own function."""
    delivery, moment = headers["X-MLflow-Delivery-Id"], headers["X-MLflow-Timestamp"]
    assert abs(time.time() - int(moment)) < 300, moment
    assert headers["Content-Type"] == "application/json", headers
    expected = _generate_hmac_signature(SECRET, delivery, moment, body)
    assert headers[WEBHOOK_SIGNATURE_HEADER] == expected, headers


def told(count):
    """What was told, which stock tells in any order."""
    notices = []
    for _, headers, body in wait_for(count):
        check_signature(headers, body)
        notice = json.loads(body)
        assert list(notice) == ["entity", "action", "timestamp", "data"], notice
        notices.append((f"{notice['entity']}.{notice['action']}", notice["data"]))
    return dict(notices)


def life():
    events = ["model_version.created", "registered_model.created", WebhookEvent(WebhookEntity.PROMPT, WebhookAction.CREATED)]
    made = client.create_webhook("life", address + "/life", events, description="d", secret=SECRET)
    assert made.secret is None and made.status == "ACTIVE" and len(made.events) == 3, made
    assert [str(event) for event in made.events] == [
        "model_version.created", "prompt.created", "registered_model.created"], made
    assert client.get_webhook(made.webhook_id).url == address + "/life"
    assert made.webhook_id in [found.webhook_id for found in client.list_webhooks()]
    other = client.create_webhook("other", address + "/other", ["prompt.created"], status="DISABLED")
    page = client.list_webhooks(max_results=1)
    assert [found.name for found in page] == ["other"] and page.token, page
    assert [found.name for found in client.list_webhooks(max_results=1, page_token=page.token)] == ["life"]
    changed = client.update_webhook(other.webhook_id, name="renamed", description="new", events=["prompt_tag.set"])
    assert (changed.name, changed.description, str(changed.events[0])) == ("renamed", "new", "prompt_tag.set")
    client.delete_webhook(other.webhook_id)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_webhook, other.webhook_id)
    refused("INVALID_PARAMETER_VALUE", client.create_webhook, "a b", address, ["prompt.created"])
    refused("INVALID_PARAMETER_VALUE", client.create_webhook, "a", "ftp://127.0.0.1", ["prompt.created"])
    tried = client.test_webhook(made.webhook_id)
    assert tried.success and tried.response_status == 200 and tried.response_body == '{"got": "it"}', tried
    ((_, headers, body),) = wait_for(1)
    check_signature(headers, body)
    assert json.loads(body)["data"]["source"] == "models:/123", body
    client.update_webhook(made.webhook_id, url=address + "/gone")
    tried = client.test_webhook(made.webhook_id, event="prompt.created")
    assert not tried.success and tried.response_status == 404, tried
    wait_for(1)
    client.delete_webhook(made.webhook_id)


def models():
    events = ["registered_model.created", "model_version.created", "model_version_tag.set", "model_version_tag.deleted",
              "model_version_alias.created", "model_version_alias.deleted"]
    hook = client.create_webhook("models", address + "/models", events, secret=SECRET)
    client.create_registered_model("fraud", tags={"team": "é"}, description="finds it")
    client.create_model_version("fraud", "s3://bucket/model", tags={"k": "v"}, description="first")
    client.set_model_version_tag("fraud", "1", "checked", "yes")
    client.set_registered_model_tag("fraud", "not", "told")
    client.set_registered_model_alias("fraud", "champion", "1")
    client.delete_model_version_tag("fraud", "1", "checked")
    client.delete_registered_model_alias("fraud", "champion")
    assert told(6) == {
        "registered_model.created": {"name": "fraud", "tags": {"team": "é"}, "description": "finds it"},
        "model_version.created": {
            "name": "fraud", "version": "1", "source": "s3://bucket/model", "run_id": None, "tags": {"k": "v"},
            "description": "first"},
        "model_version_tag.set": {"name": "fraud", "version": "1", "key": "checked", "value": "yes"},
        "model_version_tag.deleted": {"name": "fraud", "version": "1", "key": "checked"},
        "model_version_alias.created": {"name": "fraud", "alias": "champion", "version": "1"},
        "model_version_alias.deleted": {"name": "fraud", "alias": "champion"},
    }
    client.delete_webhook(hook.webhook_id)


def prompts():
    events = ["prompt.created", "prompt_version.created", "prompt_tag.set", "prompt_tag.deleted", "prompt_version_tag.set",
              "prompt_version_tag.deleted", "prompt_alias.created", "prompt_alias.deleted"]
    hook = client.create_webhook("prompts", address + "/prompts", events, secret=SECRET)
    mlflow.genai.register_prompt("ask", "Hello {{name}}!", commit_message="first", tags={"k": "v"})
    # The client sets what is given for the version on the prompt as well.
    notices = [json.loads(body) for _, _, body in wait_for_all(2)]
    created = {f"{notice['entity']}.{notice['action']}": notice["data"] for notice in notices}
    version = created["prompt_version.created"]
    assert (version["name"], version["version"], version["template"]) == ("ask", "1", "Hello {{name}}!"), version
    assert version["description"] == "first" and version["tags"]["k"] == "v", version
    assert "mlflow.prompt.text" not in version["tags"] and "mlflow.prompt.is_prompt" not in version["tags"], version
    assert created["prompt.created"]["name"] == "ask", created
    client.set_prompt_tag("ask", "team", "blue")
    client.delete_prompt_tag("ask", "team")
    client.set_prompt_version_tag("ask", "1", "checked", "yes")
    client.delete_prompt_version_tag("ask", "1", "checked")
    client.set_prompt_alias("ask", "champion", 1)
    client.delete_prompt_alias("ask", "champion")
    assert told(6) == {
        "prompt_tag.set": {"name": "ask", "key": "team", "value": "blue"},
        "prompt_tag.deleted": {"name": "ask", "key": "team"},
        "prompt_version_tag.set": {"name": "ask", "version": "1", "key": "checked", "value": "yes"},
        "prompt_version_tag.deleted": {"name": "ask", "version": "1", "key": "checked"},
        "prompt_alias.created": {"name": "ask", "alias": "champion", "version": "1"},
        "prompt_alias.deleted": {"name": "ask", "alias": "champion"},
    }
    client.delete_webhook(hook.webhook_id)


def wait_for_all(least):
    """What came until nothing more does."""
    with arrived:
        assert arrived.wait_for(lambda: len(received) >= least, timeout=30), received
    time.sleep(2)
    with arrived:
        taken, received[:] = list(received), []
    return taken


life()
models()
prompts()

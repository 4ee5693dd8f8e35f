"""What users of MLflow do with the model registry and with prompts, with the real client against a server."""

import sys

import mlflow
import numpy
from mlflow.exceptions import MlflowException
from sklearn.linear_model import LogisticRegression

client = mlflow.MlflowClient()
rows = numpy.random.default_rng(0).normal(size=(80, 3))
truth = (rows[:, 0] > 0).astype(int)


def refused(code, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except MlflowException as error:
        assert error.error_code == code, error
        return str(error)
    raise AssertionError(f"{call} was not refused")


def train(strength):
    return LogisticRegression(C=strength).fit(rows, truth)


def predicts_as(uri, model):
    return (mlflow.sklearn.load_model(uri).predict_proba(rows) == model.predict_proba(rows)).all()


def versions():
    first, second = train(1.0), train(0.5)
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(first, name="net", registered_model_name="fraud")
    with mlflow.start_run() as other:
        mlflow.sklearn.log_model(second, name="net")
    registered = mlflow.register_model(f"runs:/{other.info.run_id}/net", "fraud", tags={"why": "smaller"})
    assert (registered.version, registered.run_id) == ("2", other.info.run_id), registered
    by_model = mlflow.register_model(f"models:/{info.model_id}", "fraud")
    assert by_model.version == "3" and by_model.run_id == run.info.run_id, by_model
    copied = client.copy_model_version("models:/fraud/2", "copied")
    assert (copied.name, copied.version, copied.run_id) == ("copied", "1", other.info.run_id), copied
    for uri, model in [
        ("models:/fraud/1", first),
        ("models:/fraud/2", second),
        ("models:/fraud/3", first),
        ("models:/fraud/latest", first),
        ("models:/copied/1", second),
    ]:
        assert predicts_as(uri, model), uri
    tags = mlflow.get_logged_model(info.model_id).tags
    assert '"fraud"' in tags["mlflow.modelVersions"] and '"3"' in tags["mlflow.modelVersions"], tags
    return first, second


def aliases(first, second):
    client.set_registered_model_alias("fraud", "champion", "1")
    assert predicts_as("models:/fraud@champion", first)
    client.set_registered_model_alias("fraud", "champion", 2)
    assert predicts_as("models:/fraud@champion", second)
    found = client.get_model_version_by_alias("fraud", "champion")
    assert (found.version, found.aliases) == ("2", ["champion"]), found
    assert client.get_registered_model("fraud").aliases == {"champion": "2"}
    client.delete_registered_model_alias("fraud", "champion")
    client.delete_registered_model_alias("fraud", "champion")
    refused("INVALID_PARAMETER_VALUE", client.get_model_version_by_alias, "fraud", "champion")
    refused("INVALID_PARAMETER_VALUE", client.set_registered_model_alias, "fraud", "v1", "1")
    refused("RESOURCE_DOES_NOT_EXIST", client.set_registered_model_alias, "fraud", "a", "9")


def stages():
    client.transition_model_version_stage("fraud", "1", "Production")
    client.transition_model_version_stage("fraud", "2", "production", archive_existing_versions=True)
    assert client.get_model_version("fraud", "1").current_stage == "Archived"
    latest = client.get_latest_versions("fraud", stages=["Production"])
    assert [found.version for found in latest] == ["2"], latest
    latest = {found.current_stage: found.version for found in client.get_latest_versions("fraud")}
    assert latest == {"Archived": "1", "Production": "2", "None": "3"}, latest
    refused("INVALID_PARAMETER_VALUE", client.transition_model_version_stage, "fraud", "1", "Nowhere")
    refused("INVALID_PARAMETER_VALUE", client.transition_model_version_stage, "fraud", "1", "None", True)


def describing():
    client.update_registered_model("fraud", description="finds fraud")
    client.update_model_version("fraud", "1", description="the first")
    client.set_registered_model_tag("fraud", "team", "a")
    client.set_model_version_tag("fraud", "1", "checked", "yes")
    model = client.get_registered_model("fraud")
    assert (model.description, model.tags) == ("finds fraud", {"team": "a"}), model
    version = client.get_model_version("fraud", "1")
    assert (version.description, version.tags) == ("the first", {"checked": "yes"}), version
    client.delete_registered_model_tag("fraud", "team")
    client.delete_registered_model_tag("fraud", "never")
    client.delete_model_version_tag("fraud", "1", "checked")
    assert client.get_registered_model("fraud").tags == {}
    assert client.get_model_version("fraud", "1").tags == {}


def searching():
    client.create_registered_model("other", tags={"team": "b"}, description="d")
    refused("RESOURCE_ALREADY_EXISTS", client.create_registered_model, "other")
    refused("INVALID_PARAMETER_VALUE", client.create_registered_model, "a/b")
    names = [found.name for found in client.search_registered_models()]
    assert names == ["copied", "fraud", "other"], names
    found = client.search_registered_models("tags.team = 'b'", order_by=["name DESC"])
    assert [model.name for model in found] == ["other"], found
    pages = client.search_registered_models(max_results=2)
    rest = client.search_registered_models(max_results=2, page_token=pages.token)
    assert [model.name for model in rest] == ["other"] and not rest.token
    found = client.search_model_versions("name='fraud'", order_by=["version_number ASC"])
    assert [version.version for version in found] == ["1", "2", "3"], found
    runs = {version.run_id for version in found}
    for run_id in runs:
        of_run = client.search_model_versions(f"run_id = '{run_id}'")
        assert {version.run_id for version in of_run} == {run_id}
    refused("INVALID_PARAMETER_VALUE", client.search_model_versions, "nothing = 'a'")


def endings():
    client.rename_registered_model("other", "renamed")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "other")
    client.delete_model_version("fraud", "3")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version, "fraud", "3")
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(train(2.0), name="net")
    again = mlflow.register_model(f"runs:/{run.info.run_id}/net", "fraud")
    assert again.version == "4", "a number is not given again"
    client.delete_registered_model("fraud")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "fraud")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version, "fraud", "1")
    client.create_registered_model("fraud")


def prompts():
    mlflow.genai.register_prompt("greeting", "Hello {{name}}", commit_message="first", tags={"lang": "en"})
    second = mlflow.genai.register_prompt("greeting", "Hi {{name}}")
    assert second.version == 2, second
    mlflow.genai.set_prompt_alias("greeting", "production", 1)
    assert mlflow.genai.load_prompt("prompts:/greeting@production").format(name="Ann") == "Hello Ann"
    assert mlflow.genai.load_prompt("prompts:/greeting/2").template == "Hi {{name}}"
    assert [prompt.name for prompt in mlflow.genai.search_prompts()] == ["greeting"]
    assert "greeting" not in [model.name for model in client.search_registered_models()]
    refused("RESOURCE_ALREADY_EXISTS", client.create_registered_model, "greeting")
    mlflow.genai.delete_prompt_alias("greeting", "production")


first, second = versions()
aliases(first, second)
stages()
describing()
searching()
endings()
prompts()
print("done", file=sys.stderr)

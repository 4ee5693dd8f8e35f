"""Where the two differ on purpose, and why. What differs without a rule is a fault.

A rule looks at one leaf of an answer: the step, where it stands, what MLflow says there and what Reproof says. `...` stands
for what is not there. At `$status` both are pairs of the status and what was said.
"""

import json


class Rule:
    def __init__(self, name, reason, applies):
        self.name, self.reason, self.applies = name, reason, applies


def find(step, place, theirs, ours):
    """The rule by which these may differ."""
    for rule in RULES:
        if rule.applies(step, place, theirs, ours):
            return rule
    return None


RULES = []


def rule(name, reason):
    def add(applies):
        RULES.append(Rule(name, reason, applies))
        return applies

    return add


def refuses(place, theirs, ours, *phrases):
    """MLflow takes it and Reproof answers 400 in these words."""
    return place == "$status" and theirs[0] == 200 and ours[0] == 400 and any(phrase in ours[1] for phrase in phrases)


def sent(step):
    return json.dumps(step.get("body", step.get("raw", "")), ensure_ascii=False)


def asks(step, *ends):
    return any(step["path"].endswith(end) for end in ends)


@rule("wrong type", "a value of another type is refused whatever the field")
def _(step, place, theirs, ours):
    return refuses(place, theirs, ours, "Hint: Value was of type")


@rule("filter message", "messages about a filter or an order say where it is wrong and what to write instead")
def _(step, place, theirs, ours):
    if place in ("/sqlstate", "/error_class"):
        return asks(step, "/search") and theirs in ("KAM04", "ATTRIBUTE_NOT_FOUND")
    return place == "/message" and asks(step, "/search") and "(at character" in str(ours)


@rule("upload's media type", "an upload is answered with {} as by MLflow 3.14, and with the media type of all answers")
def _(step, place, theirs, ours):
    return place == "$media" and step["method"] == "PUT" and theirs == ""


@rule("user by tag", "the user of a run is told by the field and by the tag, whichever was sent")
def _(step, place, theirs, ours):
    if place.endswith("/tags#"):
        return [tag for tag in ours if tag.get("key") != "mlflow.user"] == [tag for tag in theirs if tag.get("key") != "mlflow.user"]
    return place.endswith("/user_id") and theirs == ""


@rule("workspace", "there is one workspace, which answers do not name")
def _(step, place, theirs, ours):
    return place.endswith("/workspace") and theirs == "default" and ours is ...


@rule("digest of a dataset", "digests of evaluation datasets are drawn from times")
def _(step, place, theirs, ours):
    return place.endswith("/digest") and "/datasets" in step["path"] and len(str(theirs)) == len(str(ours)) == 8


@rule("infinity", "infinity comes back as such, not as the largest number")
def _(step, place, theirs, ours):
    return isinstance(theirs, float) and abs(theirs) > 1.79e308 and str(ours).endswith("Infinity")


@rule("MLflow's own fault", "a mistake of the client's is no fault of the server's: clients repeat a 500 for minutes")
def _(step, place, theirs, ours):
    return place == "$status" and theirs[0] == 500 and ours[0] < 500


@rule("SQL in a message", "no request fails in the database: it is refused before, or means something")
def _(step, place, theirs, ours):
    if place == "$status":
        return theirs[0] == 400 and "(sqlite3." in theirs[1] and ours[0] in (200, 404)
    # A code and a class of their own go with it.
    return place == "/message" and "(sqlite3." in str(theirs)


@rule("code of what fails in the database", "what is there already is told as such")
def _(step, place, theirs, ours):
    codes = ("RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE", "KAM00")
    return place in ("/error_code", "/error_class") and theirs in ("BAD_REQUEST", "INVALID_PARAMETER_VALUE") and ours in codes


@rule("limit message", "one form for every limit")
def _(step, place, theirs, ours):
    return place == "/message" and "Invalid value" in str(ours) and "supplied: It must be" in str(ours)


WIDER = (
    "Invalid entity type 'attributes'", "Invalid attribute key", "Only [", "IS NULL / IS NOT NULL is only supported", "Invalid comparator", "Invalid order by", "Invalid order_by entity", "Only metrics are supported", "Expected a comparison with 3 tokens", "Invalid value for numeric attribute",
)


@rule("wider grammar", "all searches know the same grammar: every attribute, list and IS NULL wherever it means something")
def _(step, place, theirs, ours):
    return place == "$status" and asks(step, "/search") and theirs[0] == 400 and ours[0] == 200 and any(said in theirs[1] for said in WIDER)


@rule("experiment's id", "what can be no id of an experiment is told as such, in all calls and first")
def _(step, place, theirs, ours):
    phrase = "Experiment ID must be a valid integer"
    return refuses(place, theirs, ours, phrase) or place == "/message" and phrase in str(ours)


@rule("token", "tokens have another form, and belong to their request")
def _(step, place, theirs, ours):
    return refuses(place, theirs, ours, "Invalid page token") or place == "/message" and "Invalid page token" in f"{theirs}{ours}"


@rule("unknown word", "an unknown status or view is refused, not ignored")
def _(step, place, theirs, ours):
    return refuses(place, theirs, ours, "supplied: It must be one of")


@rule("path", "a path that could lead out of the artifacts, or names none, is refused before anything is looked up")
def _(step, place, theirs, ours):
    is_artifact = "artifacts" in step["path"] or "get-artifact" in step["path"]
    return is_artifact and place == "$status" and theirs[0] in (200, 404) and ours[0] == 400 and "Invalid path" in ours[1]


@rule("scorer that is not there", "a scorer that is not there is told as such, not one version of it")
def _(step, place, theirs, ours):
    return "/scorers/" in step["path"] and place == "/message" and str(ours).startswith("Scorer with name") and str(theirs).startswith("Scorer with name")


@rule("scorer before its experiment", "a scorer that can be none is told before its experiment is looked for")
def _(step, place, theirs, ours):
    return asks(step, "/scorers/register") and place == "$status" and theirs[0] == 404 and ours[0] == 400 and "serialized_scorer" in ours[1]


@rule("version of a scorer", "the number of a scorer's version is not given again")
def _(step, place, theirs, ours):
    return "/scorers/" in step["path"] and place.endswith("version") and isinstance(ours, int) and ours > theirs


@rule("dataset again", "of a dataset that a run names again, what was said last counts")
def _(step, place, theirs, ours):
    return asks(step, "/runs/get", "/runs/search") and "/dataset_inputs/" in place


@rule("search of nothing", "a search of no experiments finds nothing, whatever its filter")
def _(step, place, theirs, ours):
    body = step.get("body")
    return isinstance(body, dict) and not body.get("experiment_ids") and place == "$status" and theirs[0] == 400 and ours == (200, "{}")


@rule("path before its run", "a run that is not there is told as such, whatever the path")
def _(step, place, theirs, ours):
    is_listing = asks(step, "/artifacts/list") or step["path"] == "/get-artifact"
    return is_listing and place == "$status" and {theirs[0], ours[0]} == {400, 404}


@rule("NaN in a bulk", "NaN is a text in all answers; the token that Python writes is no JSON")
def _(step, place, theirs, ours):
    return asks(step, "/get-history-bulk") and theirs != theirs and ours == "NaN"


@rule("sum of signs", "numbers may have a sign, and comparisons of a time a fraction or an exponent")
def _(step, place, theirs, ours):
    return asks(step, "/search") and place == "$status" and theirs[0] == 400 and "Invalid clause(s)" in theirs[1] and ours[0] == 200 and any(sign in sent(step) for sign in ("> +1", "= +1", "< +1", "1e3", "1.5", "\\\\"))


@rule("deleted model", "a deleted logged model takes no tags, params or metrics")
def _(step, place, theirs, ours):
    is_about = "/logged-models/" in step["path"] or asks(step, "/log-metric", "/log-batch")
    if place == "$status":
        return is_about and theirs[0] in (200, 400) and ours[0] == 404 and "Logged model with ID" in ours[1]
    return is_about and place == "/message" and "Logged model with ID" in str(ours)


@rule("aliases in a search", "a search of versions tells the aliases of each")
def _(step, place, theirs, ours):
    return asks(step, "/model-versions/search") and place.endswith("/aliases") and theirs is ...


@rule("# in a path", "a # that was encoded is a letter like others")
def _(step, place, theirs, ours):
    return place == "$status" and "%23" in step["path"] and theirs[0] == 400 and "Invalid path" in theirs[1] and ours[0] in (200, 404)


@rule("folder as a file", "a name that ends with a slash is told in the form of all other errors")
def _(step, place, theirs, ours):
    fields = ("/detail", "/error_class", "/error_code", "/message", "/sqlstate")
    return "/mlflow-artifacts/artifacts/" in step["path"] and place in fields and (theirs is ... or ours is ...)


@rule("path of a missing file", "a missing artifact is named as it was asked for")
def _(step, place, theirs, ours):
    return step["path"] == "/get-artifact" and place == "/message" and "No such artifact" in str(theirs)


@rule("size of an empty file", "a file without a byte has a size")
def _(step, place, theirs, ours):
    return place.endswith("/file_size") and theirs is ... and ours == 0


@rule("reason of an expectation", "the reason for an expectation is kept")
def _(step, place, theirs, ours):
    return place.endswith("/rationale") and theirs is ...


@rule("nameless assessment", "an assessment without a name is refused")
def _(step, place, theirs, ours):
    phrase = "'assessment.assessment_name'"
    return place == "$status" and theirs[0] in (200, 404) and ours[0] == 400 and phrase in ours[1]


@rule("trace that is not there", "one form for every trace that is not there")
def _(step, place, theirs, ours):
    return place == "/message" and str(ours).startswith("Trace with ID") and str(ours).endswith("not found.")


@rule("dataset that is not there", "one form for every dataset that is not there")
def _(step, place, theirs, ours):
    return place == "/message" and str(ours).startswith("Evaluation dataset with id") and "not f" in str(theirs)


@rule("link to no run", "a link to a run that is not there is answered with 404, to what can be none with 400")
def _(step, place, theirs, ours):
    return asks(step, "/link-to-run") and place == "$status" and theirs[0] == 200 and ours[0] in (400, 404)


@rule("run of a model", "what can be no id of a run or a logged model is refused, wherever it stands")
def _(step, place, theirs, ours):
    return place == "$status" and theirs[0] in (200, 404) and ours[0] == 400 and any(f"for parameter '{name}_id' supplied." in ours[1] for name in ("run", "model"))


@rule("host of an address", "an address of artifacts may be on any host: it is never connected to")
def _(step, place, theirs, ours):
    return place == "$status" and theirs[0] == 400 and "scheme addresses a host" in theirs[1] and ours[0] in (200, 404)


@rule("relative address", "a relative artifact location is kept as it was given; MLflow reads it from its own working directory")
def _(step, place, theirs, ours):
    return str(theirs).startswith("/") and str(theirs).endswith(f"/{ours}")


@rule("setting in a message", "messages name no variables that there are not")
def _(step, place, theirs, ours):
    return place == "/message" and "environment variable" in str(theirs) and str(theirs).startswith(str(ours))


@rule("media type's case", "media types have no case")
def _(step, place, theirs, ours):
    return (step.get("headers") or {}).get("Content-Type") == "APPLICATION/JSON" and "Content-Type" in str(theirs)


@rule("id in the path", "what the path names is meant; a second id in the body is not needed and not looked at")
def _(step, place, theirs, ours):
    return "/logged-models/" in step["path"] and place in ("$status", "/message") and ("'model_id'" in str(theirs) or "'x'" in str(theirs))


@rule("several faults", "where a request has several faults, what it lacks and what is of a wrong type is told first")
def _(step, place, theirs, ours):
    phrases = ("Both dataset_name", "Hint: Value was of type", "Missing value for required parameter", "for parameter 'run_id' supplied", "for parameter 'model_id' supplied", "Names may only contain", "Names may be treated as files")
    if place in ("/error_code", "/error_class"):
        return theirs == "RESOURCE_ALREADY_EXISTS" and ours == "INVALID_PARAMETER_VALUE"
    if place == "$status":
        return theirs[0] == 404 and ours[0] == 400 and any(phrase in ours[1] for phrase in phrases)
    return place == "/message" and theirs is not ... and any(phrase in str(ours) for phrase in phrases)


@rule("name twice", "of a tag that is given twice the last counts")
def _(step, place, theirs, ours):
    is_said = place in ("$status", "/message") and "Both 'run_name' argument" in f"{theirs}"
    return asks(step, "/runs/create") and is_said


@rule("bare NaN", "a bare NaN or Infinity is read, and not the whole request passed over for it")
def _(step, place, theirs, ours):
    has_token = any(token in sent(step) for token in ("NaN", "Infinity")) and '"NaN"' not in sent(step)
    return has_token and place == "$status" and theirs[0] == 200 and ours[0] == 400


@rule("long key", "a key has at most 250 characters, as MLflow's schema has room for")
def _(step, place, theirs, ours):
    return refuses(place, theirs, ours, "exceeds the maximum length of 250 characters")


@rule("status of a model", "the status of a logged model is compared by its word; in MLflow by a number, which no word is")
def _(step, place, theirs, ours):
    return asks(step, "/logged-models/search") and place.startswith("/models") and "status" in sent(step)


@rule("last update of an experiment", "a tag of an experiment that is set or deleted is an update of it")
def _(step, place, theirs, ours):
    return asks(step, "/experiments/search") and place.startswith("/experiments") and "last_update_time" in json.dumps(step)


@rule("empty page", "there is a token only where a page follows")
def _(step, place, theirs, ours):
    return asks(step, "/traces/search") and place == "/next_page_token" and ours is ...


@rule("end without a time", "a run that has ended has a time at which it did")
def _(step, place, theirs, ours):
    return place.endswith("/end_time") and theirs is ... and ours == "<a time of the clock>"


@rule("half a filter", "a filter that lacks a condition, a quote or a comma is refused, not read by half")
def _(step, place, theirs, ours):
    return asks(step, "/search") and refuses(place, theirs, ours, "found the end (at character", "have no attribute `AND`", "compares with a text in quotes", "compares with a number, not", "expected `,` or `)`")


@rule("order of no key", "an order names a key")
def _(step, place, theirs, ours):
    return asks(step, "/search") and refuses(place, theirs, ours, "a key is missing after")


@rule("size of a text", "texts have no size")
def _(step, place, theirs, ours):
    return asks(step, "/datasets/search") and refuses(place, theirs, ours, "cannot be compared by >")


@rule("limit", "more or fewer results than may be asked for are refused")
def _(step, place, theirs, ours):
    return refuses(place, theirs, ours, "for parameter 'max_results' supplied: It must be")


@rule("NaN of a model", "NaN is kept where a metric is one of a logged model too")
def _(step, place, theirs, ours):
    return "/metrics/" in place and theirs == 0.0 and ours == "NaN"


@rule("model of a metric", "a metric of a run tells the logged model and dataset that it is of")
def _(step, place, theirs, ours):
    return "/metrics/" in place and place.endswith(("/model_id", "/dataset_name", "/dataset_digest")) and theirs is ...


@rule("run of a deleted experiment", "a run cannot be restored into a deleted experiment")
def _(step, place, theirs, ours):
    return asks(step, "/runs/restore") and refuses(place, theirs, ours, "must be in the 'active' state")


@rule("experiment that is not there", "one form for every experiment that is not there")
def _(step, place, theirs, ours):
    return place == "/message" and str(ours) == f"{theirs} exists"


@rule("artifacts elsewhere", "what clients write elsewhere is neither listed nor sent")
def _(step, place, theirs, ours):
    return place == "$status" and theirs[0] in (200, 404) and ours[0] == 400 and "are kept outside of this server" in ours[1]


@rule("dataset in no experiment", "a dataset cannot belong to an experiment that is not there")
def _(step, place, theirs, ours):
    return "/datasets/" in step["path"] and place == "$status" and theirs[0] == 200 and ours[0] == 404 and "No Experiment" in ours[1]


@rule("local source", "a local source without its run is told in one way")
def _(step, place, theirs, ours):
    return place == "/message" and str(ours).startswith("Invalid model version source") and str(theirs).startswith("Invalid model version source")


@rule("empty id", "what is named must have a name: an empty digest, model or key is refused")
def _(step, place, theirs, ours):
    return refuses(place, theirs, ours, "Missing value for required parameter")


@rule("moment 0", "0 is a moment, not none")
def _(step, place, theirs, ours):
    return place.endswith("/end_time") and theirs is ... and ours == 0


@rule("long name", "a registered model's name is as long as MLflow's schema has room for")
def _(step, place, theirs, ours):
    return refuses(place, theirs, ours, "exceeds the maximum length of 256 characters")


@rule("history of no run", "the history of a run that is not there is answered with 404")
def _(step, place, theirs, ours):
    return "/metrics/get-history" in step["path"] and place == "$status" and theirs[0] == 200 and ours[0] == 404


@rule("line break in a key", "a key may not end with a line break, which MLflow's expression passes over")
def _(step, place, theirs, ours):
    return refuses(place, theirs, ours, "Names may only contain") and "\\n" in sent(step)

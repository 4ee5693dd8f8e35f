"""Two answers side by side: ids and times by correspondence, all else by value."""

import json
import re

# MLflow draws names such as `amazing-crane-123`.
DRAWN_NAME = re.compile(r"^[a-z]+-[a-z]+-\d{1,4}$")
LONG_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# An experiment's id in an address, in a path and in a message.
EXPERIMENT = re.compile(
    r"((?:mlflow-artifacts:/|^|'|[Ee]xperiment(?: with id|_id|_id:| id| with ID|)? ?=? ?['`\"]?))(\d+)(?=/|['`\"]|$| |,|\.(?:$| ))"
)
ISO_NOW = re.compile(r"^20(2[6-9]|[3-9]\d)-\d\d-\d\dT[0-9:.]+Z$")
# Times that the requests give lie before this one, in milliseconds; those of the servers' clocks after it.
CLOCKS_FROM = 1_760_000_000_000
CLOCKS_UNTIL = 2_500_000_000_000


def settle(value, server):
    """An answer in a form that both servers should share."""
    if isinstance(value, dict):
        if "scorer_name" in value and isinstance(value.get("experiment_id"), int):
            # A number in this one answer.
            value = {**value, "experiment_id": str(value["experiment_id"])}
        return {settle(key, server): settle(opened(key, member), server) for key, member in value.items()}
    if isinstance(value, list):
        items = [settle(item, server) for item in value]
        if items and all(isinstance(item, dict) and "dataset_record_id" in item for item in items):
            # Records of one request have one time, and MLflow draws their order.
            items.sort(key=lambda item: json.dumps(item.get("inputs"), sort_keys=True))
        if items and all(isinstance(item, dict) and isinstance(item.get("dataset"), dict) for item in items):
            # MLflow draws the order of what a run used.
            items.sort(key=lambda item: json.dumps(item, sort_keys=True))
        if items and all(isinstance(item, dict) and set(item) <= {"model_id", "step"} for item in items):
            items.sort(key=lambda item: json.dumps(item, sort_keys=True))
        keys = [item.get("key") for item in items if isinstance(item, dict)]
        if len(keys) == len(items) and None not in keys and len(set(map(str, keys))) == len(keys):
            items.sort(key=lambda item: str(item["key"]))
        return items
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        if CLOCKS_FROM < value < CLOCKS_UNTIL:
            return "<a time of the clock>"
        return value
    return settle_text(value, server)


def opened(key, member):
    """Tokens are each server's own; JSON inside of a text is compared as JSON."""
    if key == "next_page_token":
        return "<a token>"
    if key in ("records", "schema", "profile", "tags") and isinstance(member, str):
        try:
            return json.loads(member)
        except ValueError:
            return member
    return member


def settle_text(text, server):
    if text in server.experiments:
        return f"@{server.experiments[text]}@"
    if DRAWN_NAME.match(text):
        return "<a drawn name>"
    if ISO_NOW.match(text):
        return "<a time of the clock>"
    if len(text) < 20_000:
        for found, name in server.known.items():
            if found in text:
                text = text.replace(found, f"@{name}@")
        text = EXPERIMENT.sub(
            lambda found: f"{found[1]}@{server.experiments[found[2]]}@" if found[2] in server.experiments else found[0], text
        )
        text = LONG_ID.sub("<an id>", text)
        text = UUID.sub("<an id>", text)
    return text


def differences(theirs, ours, place=""):
    """Each leaf that differs: its place, theirs, ours; what is not there is `...`."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(set(theirs) | set(ours)):
            yield from differences(theirs.get(key, ...), ours.get(key, ...), f"{place}/{key}")
    elif isinstance(theirs, list) and isinstance(ours, list):
        if len(theirs) != len(ours):
            yield f"{place}#", brief(theirs), brief(ours)
            return
        for index, (left, right) in enumerate(zip(theirs, ours)):
            yield from differences(left, right, f"{place}/{index}")
    elif type(theirs) is bool or type(ours) is bool:
        if theirs is not ours:
            yield place, theirs, ours
    elif theirs != ours and not (theirs != theirs and ours != ours):
        yield place, theirs, ours


def brief(items):
    """A list by what tells its items apart."""
    told = []
    for item in items:
        for key in ("info", "trace_info", "model_version", "experiment"):
            if isinstance(item, dict) and isinstance(item.get(key), dict):
                item = item[key]
        if isinstance(item, dict):
            names = ("run_id", "experiment_id", "model_id", "trace_id", "key", "name", "version", "path", "step")
            told.append({name: item[name] for name in names if name in item} or item)
        else:
            told.append(item)
    return told


def compare(theirs, ours, reference, subject):
    """All differences of two answers."""
    if theirs.status != ours.status:
        return [("$status", (theirs.status, said(theirs)), (ours.status, said(ours)))]
    if theirs.media != ours.media:
        return [("$media", theirs.media, ours.media)]
    if theirs.json is None or ours.json is None:
        if theirs.content.strip() == ours.content.strip():
            return []
        return [("$content", theirs.content[:300].decode(errors="replace"), ours.content[:300].decode(errors="replace"))]
    return list(differences(settle(theirs.json, reference), settle(ours.json, subject)))


def said(answer):
    if isinstance(answer.json, dict) and "message" in answer.json:
        return f"{answer.json.get('error_code')}: {str(answer.json['message'])[:400]}"
    return answer.content[:300].decode(errors="replace")

#!/bin/sh
# Makes `experiments.tar.gz`, a repository with experiments of the real DVC and DVCLive, which need not be installed then,
# and `show.json`, what DVC itself says of their params and metrics.
#
# usage: make.sh PYTHON   (of an environment with dvc==3.67.1 and dvclive==3.49.1)
set -e
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "$(dirname "$1")" && pwd)
work=$(mktemp -d)
export PATH="$bin:$PATH" HOME="$work" DVC_NO_ANALYTICS=1 GIT_CONFIG_NOSYSTEM=1 TZ=UTC
export GIT_AUTHOR_NAME=Ann GIT_AUTHOR_EMAIL=ann@example.org GIT_COMMITTER_NAME=Ann GIT_COMMITTER_EMAIL=ann@example.org
mkdir "$work/boats" && cd "$work/boats"
git init -q -b main .
dvc init -q
dvc config core.analytics false
dvc config core.check_update false
printf 'lr: 0.1\nfail: false\nnet:\n  layers: [8, 4]\n  act: relu\nnames: [red, blue]\n' > params.yaml
printf 'seed = 7\nunused = 1\n[deep]\nrate = 1e-5\n' > more.toml
printf 'DEPTH = 3\nclass Tree:\n    kind = "oak"\n' > params.py
mkdir data && echo one > data/one.csv && echo two > data/two.csv
cat > train.py <<'PY'
import json, pathlib, sys
import yaml

params = yaml.safe_load(open("params.yaml"))
if params["fail"]:
    sys.exit("asked to fail")
pathlib.Path("models/deep").mkdir(parents=True, exist_ok=True)
pathlib.Path("models/model.bin").write_bytes(b"weights %r" % params["lr"])
pathlib.Path("models/deep/notes.txt").write_text("a note\n")
pathlib.Path("report.txt").write_text(f"lr is {params['lr']}\n")
metrics = {"acc": 1 - params["lr"], "by": {"class": {"sail": 0.5}}, "odd": float("nan"), "verdict": "good"}
json.dump(metrics, open("metrics.json", "w"))
PY
cat > paint.py <<'PY'
import json, pathlib, sys

pathlib.Path("paint").mkdir(exist_ok=True)
json.dump({"acc": len(sys.argv[1]) / 10}, open(f"paint/{sys.argv[1]}.json", "w"))
PY
cat > dvc.yaml <<'YAML'
vars:
  - size: 5
stages:
  train:
    cmd: python train.py
    deps: [train.py, data]
    params:
      - lr
      - fail
      - net
      - more.toml: [seed, deep]
      - params.py: [DEPTH, Tree.kind]
    outs: [models, report.txt]
    metrics:
      - metrics.json:
          cache: false
  paint:
    foreach: ${names}
    do:
      cmd: python paint.py ${item} ${size}
      deps: [paint.py]
      metrics:
        - paint/${item}.json
YAML
cat > live.py <<'PY'
from dvclive import Live

with Live(save_dvc_exp=True, exp_name="lively", exp_message="by hand", dvcyaml="dvclive/dvc.yaml") as live:
    live.log_params({"depth": 3, "kind": "tree"})
    for step in range(4):
        live.log_metric("train/loss", 1 / (step + 1))
        live.log_metric("acc", step / 10, timestamp=True)
        live.next_step()
    live.summary["best"] = 0.25
    open("weights.bin", "wb").write(b"lively weights")
    live.log_artifact("weights.bin", type="model", name="weights")
PY
dvc add -q data
git add -A
git commit -qm "a project"
dvc exp run -q -n first
dvc exp run -q -n second -S lr=0.25 -S 'net.layers=[2]' -S more.toml:seed=8
git checkout -q -- .
python live.py > /dev/null 2>&1
git checkout -q -- .
git clean -q -f -d -x -e .dvc -e data
dvc exp run -q --queue -n broken -S fail=true
dvc queue start -q -j 1
for _ in $(seq 60); do dvc queue status 2>/dev/null | grep broken | grep -q Failed && break; sleep 1; done
# Another branch, on which the data are others.
git checkout -q -b other
echo three > data/three.csv
dvc add -q data
echo more > more.txt
git add -A
git commit -qm "another baseline"
dvc exp run -q -n later -S lr=0.75
echo 'lr: 0.9' > saved.yaml
dvc exp save -q -n saved -m "kept by hand" -I saved.yaml
git checkout -q -- .
git clean -q -f -d -x -e .dvc -e data
dvc queue stop -q --kill || true
# What waits begins where there are results already.
dvc exp apply -q later
git add -A
git commit -qm "a baseline with results"
dvc exp run -q --queue -n waiting -S lr=0.5
# A project in a folder of the repository.
git checkout -q main
mkdir inner && cd inner
dvc init -q --subdir
dvc config core.analytics false
dvc config core.check_update false
echo 'tide: 1' > params.yaml
cat > dvc.yaml <<'YAML'
stages:
  sail:
    cmd: echo '{"knots":' ${tide} '}' > knots.json && echo sailed > log.txt
    params: [tide]
    outs: [log.txt]
    metrics: [knots.json]
YAML
git add -A
git commit -qm "a project inside"
dvc exp run -q -n inside -S tide=4
git checkout -q -- .
git clean -q -f -d -x -e .dvc -e data
for_python='
import json, sys
found = {}
for baseline in json.load(sys.stdin):
    for group in baseline["experiments"] or []:
        tip = group["revs"][0]
        data = tip["data"]
        if data is None:
            continue
        parts = {part: {file: (told or {}).get("data") for file, told in (data.get(part) or {}).items()} for part in ("params", "metrics")}
        outs = {path: out["hash"] for path, out in data["outs"].items()}
        found[group["name"]] = {"rev": tip["rev"], "baseline": baseline["rev"], "outs": outs, **parts}
print(json.dumps(found, indent=1, sort_keys=True))
'
dvc exp show --json -A 2> /dev/null | python -c "$for_python" > "$here/show-inner.json"
cd ..
dvc exp show --json -A 2> /dev/null | python -c "$for_python" > "$here/show.json"
git for-each-ref refs/exps
rm -rf .dvc/tmp inner/.dvc/tmp .dvc/cache/runs inner/.dvc/cache/runs .venv
git gc -q
rm -rf .git/hooks
tar czf "$here/experiments.tar.gz" --owner=0 --group=0 --sort=name --mtime=@0 -C "$work" boats
rm -rf "$work"

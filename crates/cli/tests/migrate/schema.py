"""Prints whether a database has the schema of one that MLflow makes anew, and what differs."""

import pathlib
import sqlite3
import sys
import tempfile

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore


def in_order(sql):
    """A definition with its constraints in one order: MLflow's migrations put them in that of a set."""
    if not sql:
        return None
    head, _, rest = " ".join(sql.split()).partition("(")
    parts, depth, is_text, end = [""], 0, False, len(rest)
    for place, letter in enumerate(rest):
        is_text ^= letter == "'"
        depth += 0 if is_text else (letter == "(") - (letter == ")")
        if depth < 0:
            end = place
            break
        if letter == "," and depth == 0 and not is_text:
            parts.append("")
        else:
            parts[-1] += letter
    parts = [part.strip() for part in parts]
    constraints = {part for part in parts if part.startswith(("CONSTRAINT ", "CHECK "))}
    others = tuple(part for part in parts if part not in constraints)
    return head.strip(), others, tuple(sorted(constraints)), rest[end:].strip()


def schema(path):
    with sqlite3.connect(path) as database:
        parts = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall()
        version = database.execute("SELECT version_num FROM alembic_version").fetchall()
    return {(kind, name, table, in_order(sql)) for kind, name, table, sql in parts} | set(version)


with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "mlflow.db")
    SqlAlchemyStore(f"sqlite:///{path}", folder)
    theirs = schema(path)
print(sorted(map(str, theirs ^ schema(sys.argv[1]))))

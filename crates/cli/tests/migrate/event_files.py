"""Writes event files in all forms, then prints what TensorBoard itself reads of them."""

import json
import sys

import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.histogram import summary_v2 as histogram
from tensorboard.plugins.scalar import summary_v2 as scalar
from tensorboard.plugins.text import summary_v2 as text
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboardX import SummaryWriter

root = sys.argv[1]
with SummaryWriter(f"{root}/first/run a") as writer:
    for step in range(50):
        writer.add_scalar("loss/train", 1 / (step + 1), step)
    writer.add_scalar("odd(ly) named=ü", 5e-324, -7)
    for value in (float("nan"), float("inf"), -float("inf"), -0.0):
        writer.add_scalar("odd", value, 3)
    writer.add_text("note", "hello **world** ü", 1)
    writer.add_histogram("weights", numpy.arange(100.0), 0)
    writer.add_image("picture", numpy.zeros((3, 4, 4)), 0)
    writer.add_hparams({"lr": 0.1, "bs": 32, "opt": "adam", "flag": True}, {"hp/acc": 0.9}, name="tried")
# As TensorFlow 2 and PyTorch Lightning write them: tensors, of which only the first says what they are.
writer = EventFileWriter(root)
for step in range(3):
    summary = scalar.scalar_pb("accuracy", step / 3)
    if step:
        summary.value[0].ClearField("metadata")
    writer.add_event(event_pb2.Event(wall_time=1_700_000_000.25 + step, step=step, summary=summary))
writer.add_event(event_pb2.Event(wall_time=1_700_000_009, step=1, summary=text.text_pb("said", "first")))
writer.add_event(event_pb2.Event(wall_time=1_700_000_009, step=2, summary=text.text_pb("said", "last")))
writer.add_event(event_pb2.Event(wall_time=1_700_000_009, step=2, summary=histogram.histogram_pb("h", [1.0, 2.0])))
writer.close()

everything = {"scalars": 0, "tensors": 0}
multiplexer = EventMultiplexer(size_guidance=everything, purge_orphaned_data=False).AddRunsFromDirectory(root)
multiplexer.Reload()
told = {}
for run in multiplexer.Runs():
    accumulator: EventAccumulator = multiplexer.GetAccumulator(run)
    points = {tag: [[e.step, round(e.wall_time * 1000), str(e.value)] for e in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}
    for tag in accumulator.Tags()["tensors"]:
        if accumulator.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
            points[tag] = [
                [e.step, round(e.wall_time * 1000), str(float(numpy.float32(e.tensor_proto.float_val[0])))] for e in accumulator.Tensors(tag)
            ]
    told[run] = {tag: sorted(list_) for tag, list_ in points.items()}
print(json.dumps(told, sort_keys=True))

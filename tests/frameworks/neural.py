"""Autologging of Keras over PyTorch and of Lightning, and a model of plain PyTorch, with the real packages and client.

    neural.py

The server is the one that MLFLOW_TRACKING_URI names.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import lightning
import mlflow
import numpy
import torch

client = mlflow.MlflowClient()
mlflow.set_experiment("neural")
EPOCHS = 3

numbers = numpy.random.default_rng(0)
features = numbers.normal(size=(120, 4)).astype("float32")
labels = (features.sum(axis=1) > 0).astype("float32").reshape(-1, 1)


def steps_of(run_id, key):
    return sorted(point.step for point in client.get_metric_history(run_id, key))


def model_of(run, flavour):
    """The one model of a run, ready."""
    (output,) = mlflow.get_run(run.info.run_id).outputs.model_outputs
    model = mlflow.get_logged_model(output.model_id)
    assert model.status.value == "READY" and model.source_run_id == run.info.run_id, model
    assert flavour in mlflow.models.get_model_info(model.model_uri).flavors
    return model.model_uri


def keras_trains():
    mlflow.keras.autolog()
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, "sigmoid")])
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"])
    with mlflow.start_run() as run:
        model.fit(features, labels, epochs=EPOCHS, batch_size=16, validation_split=0.25, verbose=0)
    found = mlflow.get_run(run.info.run_id)
    assert found.data.params["epochs"] == str(EPOCHS) and found.data.params["batch_size"] == "16", found.data.params
    for key in ["loss", "accuracy", "val_loss", "val_accuracy"]:
        assert len(steps_of(run.info.run_id, key)) >= EPOCHS, key
    assert found.data.metrics["loss"] < 1
    names = {entry.path for entry in client.list_artifacts(run.info.run_id)}
    assert any("summary" in name for name in names), names
    loaded = mlflow.keras.load_model(model_of(run, "keras"))
    assert numpy.allclose(loaded.predict(features, verbose=0), model.predict(features, verbose=0))
    mlflow.keras.autolog(disable=True)


class Perceptron(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, batch):
        return torch.sigmoid(self.layer(batch))

    def training_step(self, batch, _):
        inputs, wanted = batch
        loss = torch.nn.functional.binary_cross_entropy(self(inputs), wanted)
        self.log("train_loss", loss, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def lightning_trains():
    mlflow.pytorch.autolog()
    torch.manual_seed(0)
    data = torch.utils.data.TensorDataset(torch.tensor(features), torch.tensor(labels))
    model = Perceptron()
    trainer = lightning.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    with mlflow.start_run() as run:
        trainer.fit(model, torch.utils.data.DataLoader(data, batch_size=20))
    found = mlflow.get_run(run.info.run_id)
    assert found.data.params["epochs"] == str(EPOCHS), found.data.params
    assert found.data.params["optimizer_name"] == "SGD" and float(found.data.params["lr"]) == 0.1
    # Points of steps and of epochs, as the client decides.
    assert steps_of(run.info.run_id, "train_loss_epoch") == list(range(EPOCHS))
    loaded = mlflow.pytorch.load_model(model_of(run, "pytorch"))
    given = torch.tensor(features)
    assert torch.equal(loaded(given), model(given))
    mlflow.pytorch.autolog(disable=True)


def plain_pytorch_is_registered():
    model = torch.nn.Linear(4, 2)
    with mlflow.start_run() as run:
        info = mlflow.pytorch.log_model(model, name="net", registered_model_name="net", input_example=features[:2])
    version = client.get_model_version("net", "1")
    assert version.run_id == run.info.run_id and version.status == "READY", version
    client.set_registered_model_alias("net", "best", "1")
    loaded = mlflow.pytorch.load_model("models:/net@best")
    given = torch.tensor(features)
    assert torch.equal(loaded(given), model(given))
    served = mlflow.pyfunc.load_model(info.model_uri).predict(features)
    assert numpy.allclose(served, model(given).detach().numpy())


keras_trains()
lightning_trains()
plain_pytorch_is_registered()
print("keras", keras.__version__, "lightning", lightning.__version__, "torch", torch.__version__, "mlflow", mlflow.__version__)

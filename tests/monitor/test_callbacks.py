"""Callbacks in loops that call them as the trainers do (hooks and arguments of their bases)."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dnnrepair.errors import DnnRepairError, SettingError
from dnnrepair.monitor.callbacks import lightning_callback, trainer_callback
from tests.monitor.loops import batches, data, network, sgd


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    for package, name in (("lightning.pytorch", "Callback"), ("transformers", "TrainerCallback")):
        module = ModuleType(package)
        setattr(module, name, type(name, (), {}))
        if "." in package:
            monkeypatch.setitem(sys.modules, package.partition(".")[0], ModuleType("parent"))
        monkeypatch.setitem(sys.modules, package, module)


class Lit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = network()


def fit(callback: Any, module: Lit, steps: int, start: int = 0) -> None:
    trainer = SimpleNamespace(optimizers=[sgd(module)], callback_metrics={}, sanity_checking=False)
    callback.on_train_start(trainer, module)
    for index, (x, y) in enumerate(batches(steps), start):
        callback.on_train_batch_start(trainer, module, [x, y], index)
        loss = F.cross_entropy(module.net(x), y)
        callback.on_before_backward(trainer, module, loss)
        loss.backward()
        trainer.optimizers[0].step()
        trainer.optimizers[0].zero_grad()
    trainer.callback_metrics = {"val_loss": torch.tensor(0.5), "val_acc": torch.tensor(0.9)}
    callback.on_validation_end(trainer, module)
    callback.on_train_end(trainer, module)


@pytest.mark.usefixtures("fake")
def test_lightning() -> None:
    module = Lit()
    with torch.no_grad():
        module.net.get_parameter("0.bias").fill_(-100.0)
    callback = lightning_callback(module="net", every=5)
    fit(callback, module, 10)
    assert {"ACT001"} <= {f.code for f in callback.report().findings}
    assert callback.monitor._watch.validations[0].accuracy == pytest.approx(0.9)
    again = lightning_callback(module="net", every=5)
    again.load_state_dict(callback.state_dict())
    fit(again, module, 5)
    assert again.monitor.step == 15
    assert again.monitor.findings[0].first == callback.monitor.findings[0].first


class Answering(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, x: Any, labels: Any = None) -> dict[str, Any]:
        logits = self.inner(x)
        if labels is None:
            return {"logits": logits}
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


@pytest.mark.usefixtures("fake")
def test_hugging_face() -> None:
    model = Answering()
    optimizer = sgd(model)
    wrapped = SimpleNamespace(optimizer=optimizer)  # as Accelerate wraps it
    callback = trainer_callback(every=5)
    callback.on_train_begin(None, None, None, model=model, optimizer=wrapped)
    for x, y in batches(10):
        model(x=x, labels=y)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    callback.on_evaluate(None, None, None, metrics={"eval_loss": 0.4})
    callback.on_train_end(None, None, None)
    assert callback.monitor.step == 10
    assert len(callback.monitor._watch.losses.blocks) == 2
    assert callback.monitor._watch.validations[0].loss == 0.4


@pytest.mark.usefixtures("fake")
def test_what_callbacks_refuse() -> None:
    with pytest.raises(DnnRepairError, match="no report yet"):
        trainer_callback().report()
    with pytest.raises(SettingError, match="give do= a function"):
        lightning_callback(on="ACT", do="stop")
    with pytest.raises(SettingError, match="schedule sets the learning rate anew"):
        trainer_callback(on="ACT", do="lower-lr")


@pytest.mark.skipif(find_spec("lightning") is not None, reason="Lightning is installed")
def test_without_lightning() -> None:
    with pytest.raises(DnnRepairError, match=r"pip install 'dnnrepair\[lightning\]'"):
        lightning_callback()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # Lightning's own
def test_with_the_true_lightning(tmp_path: Any) -> None:
    pl = pytest.importorskip("lightning.pytorch")

    class Module(pl.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def training_step(self, batch: Any, _index: int) -> Any:
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return sgd(self)

    callback = lightning_callback(module="net", every=5)
    trainer = pl.Trainer(
        max_steps=10,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        callbacks=[callback],
    )
    made: Any = list(batches(10))
    trainer.fit(Module(), torch.utils.data.DataLoader(made, batch_size=None))
    assert callback.monitor.step == 10
    assert callback.report().model.samples == 512
    assert callback.report().model.accuracy is not None
    assert callback.monitor._watch.losses.blocks[0].count == 5
    assert not callback.monitor._watch.attached


class Rows(torch.utils.data.Dataset[dict[str, Any]]):
    """Samples as the Trainer wants them."""

    def __init__(self, count: int) -> None:
        self.x, self.y = data()
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"x": self.x[index], "labels": self.y[index]}


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*pin_memory:UserWarning")
def test_with_the_true_trainer(tmp_path: Any, accumulated: int) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    model = Answering()
    with torch.no_grad():
        model.get_parameter("inner.0.bias")[:24] = -100.0
    acted: list[str] = []
    callback = trainer_callback(every=5, on="dead-relu", do=lambda f: acted.append(f.layer))
    options = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=20,
        per_device_train_batch_size=64,
        gradient_accumulation_steps=accumulated,
        learning_rate=0.01,
        lr_scheduler_type="constant",
        eval_strategy="steps",
        eval_steps=10,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = transformers.Trainer(
        model=model,
        args=options,
        train_dataset=Rows(1024),
        eval_dataset=Rows(128),
        callbacks=[callback],
    )
    trainer.train()
    monitor, report = callback.monitor, callback.report()
    assert monitor.step == 20
    assert not monitor._watch.attached
    (seen,) = [
        one.finding
        for one in monitor.findings
        if one.finding.code == "ACT001" and one.finding.layer == "inner.0"
    ]
    assert set(range(24)) <= set(seen.units)
    assert {"ACT001", "GRD001", "TRN005", "TRN008"} <= set(report.checked)
    assert report.model.accuracy is not None
    assert report.model.samples >= 512
    assert [block.count for block in monitor._watch.losses.blocks] == [5 * accumulated] * 4
    assert [one.step for one in monitor._watch.validations] == [10, 20]
    assert monitor._watch.validations[0].loss > 0
    assert sum(monitor._watch.labels.counts.values()) > 0
    assert "inner.0" in acted
    assert not any("failed" in note for note in report.model.notes)

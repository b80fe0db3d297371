"""Callbacks for other libraries' trainers: with stand-ins of these, and with the libraries where they are installed.

A stand-in calls the hooks in the order of Lightning 2.6 and transformers 5.24, with batches whose gradients are
accumulated, and saves and loads as they do.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import thinout
import thinout.nn as tnn
from thinout.schedules import Early, Linear

FOLDER = Path(thinout.nn.__file__).parents[1] / "integrations"
SCHEDULE = Linear(0.0, 0.4, 8)
ACCUMULATED = 2
EXPECTED = [0.0, 0.0, 0.05, 0.05, 0.1, 0.1, 0.15, 0.15]  # of eight batches


def load(monkeypatch: pytest.MonkeyPatch, name: str, **modules: ModuleType | None) -> Any:
    """Run a module of the callbacks anew, where other modules stand in for libraries or are missing."""
    for module in ("lightning", "pytorch_lightning", "transformers"):
        for loaded in [key for key in sys.modules if key.partition(".")[0] == module]:
            monkeypatch.delitem(sys.modules, loaded)
        monkeypatch.setitem(sys.modules, module, None)
    for module, standin in modules.items():
        monkeypatch.setitem(sys.modules, module.replace("__", "."), standin)
    spec = importlib.util.spec_from_file_location(f"standin_{name}", FOLDER / f"{name}.py")
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    return fresh


class Recorder(nn.Module):
    """A model that notes the rate of each forward pass in training."""

    def __init__(self, **_: Any) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.drop = tnn.Dropout(0.9)
        self.frozen = nn.Dropout(0.9)
        self.seen: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen.append(self.drop.p)
        return self.drop(self.linear(x))


class Callback:
    """The hooks of Lightning that the stand-in calls."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...
    def on_fit_start(self, trainer: Any, pl_module: Any) -> None: ...
    def on_train_start(self, trainer: Any, pl_module: Any) -> None: ...
    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None: ...


def lightning_modules(name: str = "lightning") -> dict[str, ModuleType]:
    callbacks = ModuleType("callbacks")
    callbacks.Callback = Callback  # type: ignore[attr-defined]
    if name == "pytorch_lightning":
        return {name: ModuleType(name), f"{name}__callbacks": callbacks}
    return {name: ModuleType(name), f"{name}__pytorch": ModuleType(name), f"{name}__pytorch__callbacks": callbacks}


def lightning_fit(
    model: Recorder, callback: Callback, num_batches: int, checkpoint: dict[str, Any] | None = None, late: bool = False
) -> dict[str, Any]:
    """Train as Lightning does, and return a checkpoint; `late` is when strategies such as FSDP load theirs."""
    trainer = SimpleNamespace(global_step=0)
    state = None if checkpoint is None else checkpoint["callback"]
    if state and not late:
        callback.load_state_dict(state)
    callback.on_fit_start(trainer, model)
    if checkpoint is not None:
        trainer.global_step = checkpoint["global_step"]
        if state and late:
            callback.load_state_dict(state)
    callback.on_train_start(trainer, model)
    for batch in range(num_batches):
        model(torch.ones(1, 2))
        if (batch + 1) % ACCUMULATED == 0:
            trainer.global_step += 1
        callback.on_train_batch_end(trainer, model, None, None, batch)
    return {"global_step": trainer.global_step, "callback": callback.state_dict()}


@pytest.mark.parametrize("library", ["lightning", "pytorch_lightning"])
def test_lightning_steps_with_the_optimiser(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    module = load(monkeypatch, "lightning", **lightning_modules(library))
    model, callback = Recorder(), module.DropoutScheduleCallback(SCHEDULE, match="drop")
    assert callback.state_dict() == {}
    checkpoint = lightning_fit(model, callback, 8)
    assert model.seen == pytest.approx(EXPECTED)
    assert model.frozen.p == 0.9
    assert checkpoint["callback"]["step"] == checkpoint["global_step"] == 4


@pytest.mark.parametrize("late", [False, True])
def test_lightning_resumes_the_same_rates(monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    module = load(monkeypatch, "lightning", **lightning_modules())
    first, second = Recorder(), Recorder()
    checkpoint = lightning_fit(first, module.DropoutScheduleCallback(SCHEDULE), 4)
    again = module.DropoutScheduleCallback(SCHEDULE)
    lightning_fit(second, again, 4, checkpoint, late)
    assert first.seen + second.seen == pytest.approx(EXPECTED)
    assert again.scheduler.last_step == 4


def test_lightning_goes_on_from_a_checkpoint_that_had_no_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(monkeypatch, "lightning", **lightning_modules())
    model = Recorder()
    lightning_fit(model, module.DropoutScheduleCallback(SCHEDULE), 4, {"global_step": 2, "callback": {}})
    assert model.seen == pytest.approx(EXPECTED[4:])


@pytest.mark.parametrize("late", [False, True])
def test_lightning_refuses_a_checkpoint_of_another_schedule(monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    module = load(monkeypatch, "lightning", **lightning_modules())
    checkpoint = lightning_fit(Recorder(), module.DropoutScheduleCallback(SCHEDULE), 4)
    with pytest.raises(ValueError, match=r"must be of schedule Early\(p=0.1, .*, got one of Linear"):
        lightning_fit(Recorder(), module.DropoutScheduleCallback(Early(0.1, 3)), 4, checkpoint, late)


def transformers_train(model: Recorder, callback: Any, num_batches: int, global_step: int = 0) -> int:
    """Train as transformers does, and return the number of steps that its checkpoint holds."""
    state = SimpleNamespace(global_step=global_step)
    callback.on_train_begin(None, state, None, model=model, optimizer=None, train_dataloader=None)
    for batch in range(num_batches):
        model(torch.ones(1, 2))
        if (batch + 1) % ACCUMULATED == 0:
            state.global_step += 1
            callback.on_step_end(None, state, None, model=model, optimizer=None, train_dataloader=None)
    return state.global_step


def transformers_modules() -> dict[str, ModuleType]:
    transformers = ModuleType("transformers")
    transformers.TrainerCallback = type("TrainerCallback", (), {})  # type: ignore[attr-defined]
    return {"transformers": transformers}


def test_transformers_steps_with_the_optimiser_and_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(monkeypatch, "transformers", **transformers_modules())
    model, callback = Recorder(), module.DropoutScheduleCallback(SCHEDULE, frozen="frozen")
    assert transformers_train(model, callback, 4) == 2
    resumed = Recorder()
    transformers_train(resumed, module.DropoutScheduleCallback(SCHEDULE), 4, global_step=2)
    assert model.seen + resumed.seen == pytest.approx(EXPECTED)
    assert model.frozen.p == 0.9
    other = Recorder()  # the next trial of a search comes with a new model
    transformers_train(other, callback, 4)
    assert other.seen == pytest.approx(EXPECTED[:4])


@pytest.mark.parametrize("name", ["lightning", "transformers"])
def test_a_missing_library_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module = load(monkeypatch, name)
    text = f"thinout.integrations.{name} needs {name}. Install it with: pip install {name}"
    with pytest.raises(ModuleNotFoundError) as caught:
        module.DropoutScheduleCallback(SCHEDULE)
    assert str(caught.value) == text


def test_a_library_that_lacks_something_itself_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"lightning\.pytorch"):
        load(monkeypatch, "lightning", lightning=ModuleType("lightning"))


DATA = torch.utils.data.TensorDataset(torch.ones(8, 2))


@pytest.mark.filterwarnings("ignore")  # of the library
def test_the_trainer_of_lightning(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch", reason="needs Lightning, which is no dependency")
    from thinout.integrations.lightning import DropoutScheduleCallback

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net: nn.Module | None = None

        def configure_model(self) -> None:  # layers that come late
            if self.net is None:
                self.net = Recorder()

        def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
            return self.net(batch[0]).sum()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    def fit(num_steps: int, schedule: Any = SCHEDULE, checkpoint: Path | None = None) -> tuple[Recorder, Any]:
        trainer = lightning.Trainer(
            max_steps=num_steps,
            accelerator="cpu",
            accumulate_grad_batches=ACCUMULATED,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            default_root_dir=tmp_path,
            callbacks=[DropoutScheduleCallback(schedule)],
        )
        module = Module()
        trainer.fit(module, torch.utils.data.DataLoader(DATA), ckpt_path=checkpoint)
        return module.net, trainer

    first, trainer = fit(2)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    second, _ = fit(4, checkpoint=tmp_path / "last.ckpt")
    assert first.seen + second.seen == pytest.approx(EXPECTED)
    with pytest.raises(ValueError, match=r"must be of schedule Early\(p=0.1, .*, got one of Linear"):
        fit(4, Early(0.1, 3), tmp_path / "last.ckpt")


@pytest.mark.filterwarnings("ignore")  # of the library
def test_the_trainer_of_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs transformers, which is no dependency")
    from thinout.integrations.transformers import DropoutScheduleCallback

    class Model(Recorder):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"loss": super().forward(x).sum()}

    def train(num_steps: int, checkpoint: str | None = None) -> Recorder:
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=num_steps,
            per_device_train_batch_size=1,
            gradient_accumulation_steps=ACCUMULATED,
            save_steps=2,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
        )
        model = Model()
        data = [{"x": torch.ones(2)} for _ in range(8)]
        callbacks = [DropoutScheduleCallback(SCHEDULE)]
        trainer = transformers.Trainer(model, arguments, train_dataset=data, callbacks=callbacks)
        trainer.train(resume_from_checkpoint=checkpoint)
        return model

    first = train(2)
    second = train(4, str(tmp_path / "checkpoint-2"))
    assert first.seen + second.seen == pytest.approx(EXPECTED)

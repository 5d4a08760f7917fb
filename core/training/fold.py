"""Training on one fold: transformers' Trainer, the epoch chosen by validation UAR, and scores at the end."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import EvalPrediction

from core.evaluation.scores import confusion, uar, war
from core.training.recipe import Recipe


class Examples(Dataset):
    """Some rows of an array of inputs (memory-mapped), with their classes."""

    def __init__(
        self, name: str, inputs: NDArray[np.float32], rows: tuple[int, ...], labels: NDArray[np.int64]
    ) -> None:
        self.name, self.inputs, self.rows, self.labels = name, inputs, rows, labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> dict[str, Any]:
        # a copy: torch wants memory it may write to
        return {self.name: torch.from_numpy(np.array(self.inputs[self.rows[i]])), "labels": int(self.labels[i])}


@dataclass(frozen=True)
class Trained:
    """What training gave; `epochs` has one entry each, `best` is the number of the chosen one (from 1)."""

    network: nn.Module
    epochs: list[dict[str, float]]
    best: int
    stopped_early: bool
    validation: dict[str, Any]
    test: dict[str, Any] | None
    device: str


def train(
    network: nn.Module,
    recipe: Recipe,
    seed: int,
    folder: Path,
    train_set: Examples,
    validation: Examples,
    test: Examples | None,
    classes: int,
    device: str,
    say: Callable[[str], None],
) -> Trained:
    """Train `network` on `train_set`, keep the epoch with the best validation UAR, and score it once on `test`.

    Checkpoints go to `folder`, every epoch; with some there already it goes on after the last whole one.
    """
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=recipe.batch_size,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup,  # below 1 it is a share
        seed=seed,
        fp16=recipe.dtype == "float16",
        bf16=recipe.dtype == "bfloat16",
        use_cpu=device == "cpu",
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="uar",
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        label_names=["labels"],
        remove_unused_columns=False,
        dataloader_pin_memory=device != "cpu",
        ddp_find_unused_parameters=False,  # every weight that is trained has a say in every answer
        disable_tqdm=True,
        report_to="none",
    )
    callbacks: list[TrainerCallback] = [_Progress(say, recipe.epochs)]
    if recipe.patience:
        callbacks.append(EarlyStoppingCallback(recipe.patience))
    trainer = Trainer(
        model=network,
        args=arguments,
        train_dataset=train_set,
        eval_dataset=validation,
        compute_metrics=_metrics,
        compute_loss_func=_weighted_loss(train_set.labels, classes) if recipe.class_weights else None,
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    state = trainer.state
    epochs = _epochs(state.log_history)
    best = max(epochs, key=lambda epoch: (epoch["validation_uar"], -epoch["epoch"]))
    return Trained(
        network=network,
        epochs=epochs,
        best=int(best["epoch"]),
        stopped_early=len(epochs) < recipe.epochs,
        validation=_scores(trainer, validation, classes),
        test=None if test is None else _scores(trainer, test, classes),
        device=str(trainer.args.device),
    )


def last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end (the Trainer writes its state last), None without one."""
    whole = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    return str(max(whole, key=lambda path: int(path.name.split("-")[1]))) if whole else None


class _Progress(TrainerCallback):
    """One line an epoch, and on a terminal a bar of the steps."""

    def __init__(self, say: Callable[[str], None], epochs: int) -> None:
        self._say, self._epochs = say, epochs
        self._bar: tqdm | None = None

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        if self._bar is None:  # here, where it is known after which step a resumed run goes on
            hidden = not (state.is_world_process_zero and sys.stderr.isatty())
            first = state.global_step - 1
            self._bar = tqdm(total=state.max_steps, initial=first, desc="steps", unit="", leave=False, disable=hidden)
        self._bar.update()

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        metrics = more["metrics"]
        if state.is_world_process_zero and "eval_uar" in metrics:
            with tqdm.external_write_mode(sys.stderr):
                self._say(
                    f"epoch {round(state.epoch or 0)} of {self._epochs}: validation UAR {metrics['eval_uar']:.3f}"
                )

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        if self._bar is not None:
            self._bar.close()


def _metrics(prediction: EvalPrediction) -> dict[str, float]:
    guess, truth = np.asarray(prediction.predictions).argmax(-1), np.asarray(prediction.label_ids)
    return {"uar": uar(guess, truth), "war": war(guess, truth)}


def _scores(trainer: Trainer, examples: Examples, classes: int) -> dict[str, Any]:
    """n, UAR, WAR and confusion (rows: true class)."""
    answer = trainer.predict(examples)
    guess = np.asarray(answer.predictions).argmax(-1)
    truth = np.asarray(answer.label_ids)
    return {
        "n": len(truth),
        "uar": uar(guess, truth),
        "war": war(guess, truth),
        "confusion": confusion(guess, truth, classes).tolist(),
    }


def _weighted_loss(labels: NDArray[np.int64], classes: int) -> Callable[..., Tensor]:
    """Cross-entropy in which every class counts alike: a clip weighs n / (classes x clips of its class)."""
    counts = np.bincount(labels, minlength=classes)
    weights = torch.tensor(len(labels) / (classes * np.maximum(counts, 1)), dtype=torch.float32)

    def loss(outputs: Any, target: Tensor, num_items_in_batch: Any = None) -> Tensor:
        logits = outputs["logits"]
        return nn.functional.cross_entropy(logits, target, weights.to(logits.device, logits.dtype))

    return loss


def _epochs(history: list[dict[str, float]]) -> list[dict[str, float]]:
    """The Trainer's log as one entry an epoch."""
    found: dict[int, dict[str, float]] = {}
    for entry in history:
        epoch = found.setdefault(round(entry["epoch"]), {"epoch": round(entry["epoch"])})
        if "loss" in entry:
            epoch["train_loss"] = entry["loss"]
        if "eval_uar" in entry:
            epoch |= {f"validation_{name}": entry[f"eval_{name}"] for name in ("loss", "uar", "war")}
    return [found[number] for number in sorted(found) if "validation_uar" in found[number]]

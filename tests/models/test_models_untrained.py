"""The untrained counterpart of an adapter: the same draw wherever it is asked for, under one head or the other."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.models.info import ModelInfo, Role
from core.models.loading import LoadedModel, Loader
from core.models.untrained import untrained_of
from tests.checkpoints import LABELS, classifier_over, save_adapter, save_base, save_extractor, small_config
from tests.models.workshop import Describe

pytestmark = pytest.mark.usefixtures("one_thread")


def loader() -> Loader:
    return Loader(torch.device("cpu"), torch.float32)


def factors(model: LoadedModel) -> dict[str, torch.Tensor]:
    """A and B by their place, without the adapter's name."""
    found = model.base.backbone.named_parameters()
    return {n.replace(f".{model.adapter}.", "."): p for n, p in found if "lora_" in n and f".{model.adapter}." in n}


def same_draw(one: LoadedModel, other: LoadedModel) -> bool:
    mine, theirs = factors(one), factors(other)
    assert mine.keys() == theirs.keys() and len(mine) > 0
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


def head(model: LoadedModel) -> dict[str, torch.Tensor]:
    return {f"{n}.{k}": t for n in ("projector", "classifier") for k, t in getattr(model.head, n).state_dict().items()}


def test_it_is_what_the_role_untrained_loads(look: Describe) -> None:
    """Same A, B and drawn head; the base of the shelf has no head of its own."""
    trained = look(adapter="wide")
    made, listed = untrained_of(trained, keep_head=False), look(adapter="wide", role="untrained")
    assert (made.role, made.name, made.lora) == (Role.UNTRAINED, "It (untrained)", trained.lora)
    assert made.files.head == () == listed.files.head
    one = loader()
    mine, theirs = one.get(made), one.get(listed)
    assert same_draw(mine, theirs)
    assert all(torch.equal(head(mine)[name], tensor) for name, tensor in head(theirs).items())
    values = torch.cat([p.flatten() for p in factors(mine).values()])
    assert abs(values.std().item() - 0.02) < 0.001 and abs(values.mean().item()) < 0.001


def test_the_trained_head_is_kept_where_it_is_asked_for(look: Describe, shelf: Path) -> None:
    trained = look(adapter="lora")
    one = loader()
    kept, fresh = (one.get(untrained_of(trained, keep_head=keep)) for keep in (True, False))
    assert same_draw(kept, fresh)
    assert all(torch.equal(head(kept)[name], tensor) for name, tensor in head(one.get(trained)).items())
    assert not torch.equal(kept.head.projector.weight, fresh.head.projector.weight)
    assert kept.info.labels == fresh.info.labels == trained.labels


def test_every_seed_is_a_draw_and_a_model_of_its_own(look: Describe) -> None:
    trained = look(adapter="lora")
    others = [untrained_of(trained, keep_head=keep, seed=seed) for keep in (True, False) for seed in (0, 1)]
    assert len({model.fingerprint for model in [trained, *others]}) == 5
    assert len({model.name for model in [trained, *others[:2]]}) == 3
    one = loader()
    models = [one.get(model) for model in others]
    assert not same_draw(models[0], models[1])
    assert not torch.equal(models[2].head.projector.weight, models[3].head.projector.weight)
    assert untrained_of(trained, keep_head=True, seed=1) == others[1]


def test_it_has_another_identity_for_every_adapter(look: Describe) -> None:
    prints = {untrained_of(look(adapter=name), keep_head=False).fingerprint for name in ("lora", "wide")}
    assert len(prints) == 2


@pytest.mark.parametrize("weighted", [False, True])
def test_a_base_with_a_head_lends_it(look: Describe, tmp_path: Path, weighted: bool) -> None:
    """Its classes in its own order, and its weights of the layers where it has them."""
    order = LABELS[::-1]
    base = tmp_path / "base"
    plain = save_base(tmp_path / "plain", small_config(layers=2, width=32, seconds=1))
    model = classifier_over(plain, 5, order, use_weighted_layer_sum=weighted)
    model.save_pretrained(base)
    save_extractor(base, model.config)
    save_adapter(tmp_path / "it", base)
    trained = look(base=base, adapter=tmp_path / "it")
    made = untrained_of(trained, keep_head=False)
    assert (made.labels, made.weighted_layer_sum) == (order, weighted)
    lent = loader().get(made)
    own = load_file(base / "model.safetensors")
    assert all(torch.equal(tensor, own[name]) for name, tensor in head(lent).items())
    kept = untrained_of(trained, keep_head=True)
    assert (kept.labels, kept.weighted_layer_sum) == (LABELS, weighted)


def test_a_base_whose_head_has_other_classes_lends_none(look: Describe, tmp_path: Path) -> None:
    base = tmp_path / "base"
    plain = save_base(tmp_path / "plain", small_config(layers=2, width=32, seconds=1))
    model = classifier_over(plain, 5, ("cat", "dog", "mouse", "owl"))
    model.save_pretrained(base)
    save_extractor(base, model.config)
    save_adapter(tmp_path / "it", base)
    made = untrained_of(look(base=base, adapter=tmp_path / "it"), keep_head=False)
    assert (made.files.head, made.labels) == ((), LABELS)
    assert np.isfinite(loader().get(made).head.projector.weight.numpy()).all()


@pytest.mark.parametrize("entry", [{"head": "head"}, {"adapter": "lora", "role": "untrained"}])
def test_there_is_none_of_a_model_without_a_trained_adapter(look: Describe, entry: dict[str, str]) -> None:
    model: ModelInfo = look(**entry)
    with pytest.raises(ValueError, match="no trained adapter"):
        untrained_of(model, keep_head=False)

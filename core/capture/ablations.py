"""One layer switched off, and on, in every way: the model's logits over one clip."""

from dataclasses import dataclass

import torch

from core.capture.interventions import (
    Samples,
    Stream,
    all_layers,
    check_head,
    drawn,
    finish,
    plain,
    streams,
    through,
)
from core.models.loading import LoadedModel
from core.store.intervention import AblationRecord


@dataclass
class Ablations:
    """The layers of a clip start from the same two runs, with LoRA and without: the last clip's stay on the device."""

    _of: tuple[object, ...] = ()
    _points: tuple[Stream, ...] = ()

    def layer(self, model: LoadedModel, samples: Samples, layer: int) -> AblationRecord:
        """The record of one layer over one clip (16 kHz mono, at most a window long); Refusal where the head
        does not read one last layer."""
        check_head(model)
        layers, adapted = model.info.shape.layers, bool(model.info.lora)
        ends = all_layers(model, [1.0, 0.0] if adapted else [1.0])
        if (key := (model.info.fingerprint, samples.tobytes())) != self._of:
            self._of, self._points = (), ()  # freed before the next are made
            self._points = tuple(streams(model, [samples] * len(ends), ends))
            self._of = key
        points, on, off = self._points, ends[:1], ends[1:]
        # names, streams entering the next layer, and gains from there on
        runs = [(("erase", "erase_first"), torch.cat([points[layer][:1], points[0][:1]]), torch.cat([on, on]))]
        if adapted:
            turned = ends.clone()
            turned[:, layer] = torch.tensor([0.0, 1.0])
            switched = through(model, points[layer], layer, turned)
            runs.append((("without", "only"), switched, ends))
            for letter, names in (("A", ("without_a", "only_b")), ("B", ("without_b", "only_a"))):
                with drawn(model, layer, letter):
                    runs.append((names, through(model, points[layer], layer, torch.ones_like(ends)), ends))
            runs.append((("first", "last"), torch.cat([points[layer + 1][:1], switched[1:]]), torch.cat([off, on])))
        logits = finish(model, torch.cat([run[1] for run in runs]), layer + 1, torch.cat([run[2] for run in runs]))
        found = dict(zip((name for run in runs for name in run[0]), logits, strict=True))
        found["erase_last"] = finish(model, points[layer][:1], layers, on)[0]
        return AblationRecord({name: plain(values) for name, values in found.items()})

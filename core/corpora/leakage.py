"""What two sets of clips have in common: did training see whom, or what, a model is tested on?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from core.corpora.clip import Clip
from core.corpora.iemocap import script_of


@dataclass(frozen=True)
class Facts:
    """Everything by which sets of clips can overlap. What is not known of a clip is in no set.

    `scripts` are the plots that dialogs act out: the same one may be acted in every session.
    """

    clip_ids: frozenset[str] = frozenset()
    speakers: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    dialogs: frozenset[str] = frozenset()
    scripts: frozenset[str] = frozenset()

    def lists(self) -> dict[str, list[str]]:
        """Sorted lists, as a training manifest keeps them."""
        return {field.name: sorted(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_lists(cls, lists: Mapping[str, Sequence[str]]) -> "Facts":
        """What `lists` gave; a list that is not there is empty."""
        return cls(**{field.name: frozenset(lists.get(field.name, ())) for field in fields(cls)})


def facts_of(clips: Sequence[Clip]) -> Facts:
    """The facts of some clips."""
    dialogs = {clip.dialog for clip in clips if clip.dialog is not None}
    return Facts(
        clip_ids=frozenset(clip.clip_id for clip in clips),
        speakers=frozenset(clip.speaker for clip in clips if clip.speaker is not None),
        sessions=frozenset(clip.session for clip in clips if clip.session is not None),
        dialogs=frozenset(dialogs),
        scripts=frozenset(script for dialog in dialogs if (script := script_of(dialog)) is not None),
    )


def shared(a: Facts, b: Facts) -> dict[str, list[str]]:
    """What both have, sorted, under "speakers", "sessions", "dialogs", "scripts" and "clips" (ids).

    Equal ids are the same sound, whatever the files are called.
    """
    names = {
        "speakers": "speakers",
        "sessions": "sessions",
        "dialogs": "dialogs",
        "scripts": "scripts",
        "clips": "clip_ids",
    }
    return {name: sorted(getattr(a, field) & getattr(b, field)) for name, field in names.items()}

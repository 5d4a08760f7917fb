"""IEMOCAP as its authors release it: five sessions, their label files, their true speakers."""

import re

_DIALOG = re.compile(r"Ses\d\d[FM]_((?:impro|script)\w+)")


def script_of(dialog: str) -> str | None:
    """What a dialog was played from: `Ses02F_script02_1` → `script02_1`, `Ses05M_impro05a` → `impro05a`; else None.

    A name that begins with "script" was read from a play, one that begins with "impro" was improvised.
    """
    match = _DIALOG.fullmatch(dialog)
    return match[1] if match else None

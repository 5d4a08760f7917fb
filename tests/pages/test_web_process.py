"""The web process only asks and reads: nothing in it may import torch."""

import os
import subprocess
import sys
from pathlib import Path

from core import paths

_SCRIPT = """
import sys
from streamlit.testing.v1 import AppTest
from core.ui import context
for page in ("", "pages/1_Clip.py", "pages/2_Contributions.py"):
    app = AppTest.from_file("{app}", default_timeout=60)
    if page:
        app.switch_page(page)
        app.query_params["clip"] = context.listing("demo").clips[0].name
    app.run()
    assert not app.exception, app.exception
assert app.get("plotly_chart")
print([name for name in ("torch", "transformers", "peft", "nnsight") if name in sys.modules])
"""


def test_pages_do_not_import_torch(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(app=paths.ROOT / "app.py")],
        cwd=paths.ROOT,
        env=os.environ | {"LORASCOPE_CACHE_DIR": str(tmp_path), "LORASCOPE_REGISTRY": str(paths.DEFAULT_REGISTRY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"

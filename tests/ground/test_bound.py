"""Controls that are bound to the address."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_what_a_bound_control_offers_is_what_the_address_says() -> None:
    """Streamlit writes the formatted option to the address, while our links and commands take the option itself."""
    files = [ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "core" / "ui").glob("*.py")]
    calls = [
        (file.name, node.lineno, {keyword.arg for keyword in node.keywords})
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]
    bound = [call for call in calls if "bind" in call[2]]
    assert len(bound) > 5
    assert not [call for call in bound if "format_func" in call[2]]

"""Where things lie in the repository. Every path is built here and nowhere else."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
DEMO_CLIPS = DEMO / "clips"
DEFAULT_REGISTRY = ROOT / "models.toml"
DEFAULT_CACHE = ROOT / "cache"

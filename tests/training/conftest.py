"""A made-up IEMOCAP release and a tiny base, to train on in seconds."""

import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import Answer, environment
from tests.corpora.trees import iemocap_tree


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Ten speakers with two clips of each class."""
    return f"iemocap:{iemocap_tree(tmp_path_factory.mktemp('corpus'), seconds=0.4, oddities=False)}"


@pytest.fixture(scope="session")
def train(shelf: Path, corpus: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Answer]:
    """`core train` over the shelf's base, in this process; features are made once for all tests."""
    cache = tmp_path_factory.mktemp("cache")

    def run(*words: object) -> Answer:
        import torch

        from core.__main__ import main

        data = ("--base", shelf / "base", "--clips", corpus, "--cache", cache)
        out, err, threads = io.StringIO(), io.StringIO(), torch.get_num_threads()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            for name in os.environ.keys() - environment().keys():
                patch.delenv(name)
            patch.setenv("LORASCOPE_DEVICE", "cpu")
            patch.setattr("sys.argv", ["core", "train", *map(str, (*data, *words))])
            torch.set_num_threads(1)
            code = main(["train", *map(str, (*data, *words))])
        torch.set_num_threads(threads)
        return Answer(code, out.getvalue(), err.getvalue())

    return run

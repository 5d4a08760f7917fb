"""`python -m core …`: the command line. Exit codes: 0 done, 1 our failure, 2 a wrong request, 3 casualties."""

import os
import sys
import traceback
from collections.abc import Sequence

INTERRUPTED = 130  # as shells report Ctrl-C


def main(words: Sequence[str]) -> int:
    """Run one command; a Refusal becomes one line on stderr and exit code 2."""
    from core.cli import analyze, evaluate, listing, report, train
    from core.cli.arguments import parse
    from core.cli.session import FAILED, WRONG_REQUEST
    from core.errors import Refusal

    commands = {
        "analyze": analyze.analyze,
        "report": report.report,
        "models": listing.models,
        "clips": listing.clips,
        "cache": listing.cache,
        "settings": listing.settings,
        "train": train.train,
        "evaluate": evaluate.evaluate,
        "demo": listing.demo,
    }
    try:
        arguments = parse(words)
        return commands[arguments.command](arguments)
    except Refusal as error:
        print(f"lorascope: {error}", file=sys.stderr)
        return WRONG_REQUEST
    except KeyboardInterrupt:
        print("\nlorascope: stopped; what is done is kept, the same command goes on from there.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        traceback.print_exc()
        print("lorascope: that is a fault of LoRAscope, not of your request.", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

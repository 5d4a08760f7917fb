"""The one exception whose text is written for the person who caused it."""


class Refusal(ValueError):
    """Input that can't be used: a file, a checkpoint, a setting, a request.

    `str(error)` is one plain sentence (what, where, what to do). Pages show it as it is, the command line
    prints it without a traceback. Anything else that is raised is our own failure.
    """

"""The exceptions that mean: the caller can mend this."""


class InputError(ValueError):
    """An argument, a file or an image that qmae cannot use.

    The message is one line that says what is wrong, why, and how to mend it; the command line prints it
    and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        # Messages of other libraries, quoted in ours, may run over several lines.
        super().__init__(" ".join(message.split()))


class DivergenceError(InputError):
    """A training in which a loss, a gradient or a parameter is no longer finite."""

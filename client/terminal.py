"""How commands speak to whoever sits at the terminal: names as they are, and what went wrong in red."""

from rich.console import Console


def terminal(*, quiet: bool) -> Console:
    """Standard error; brackets and colons in the names of files are nothing but that."""
    return Console(stderr=True, quiet=quiet, markup=False, emoji=False)


def complain(console: Console, text: object) -> None:
    """Say what went wrong, in one piece however narrow the terminal is."""
    console.print(str(text), style="red", soft_wrap=True)

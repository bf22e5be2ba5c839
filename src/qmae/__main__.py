"""`python -m qmae` is the `qmae` command."""

from qmae.cli import main

main()

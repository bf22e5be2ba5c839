"""`python -m qmae` is the `qmae` command."""

import sys

try:
    from qmae.cli import main

    main()
except KeyboardInterrupt:  # before the command can say so itself
    print("interrupted", file=sys.stderr)
    sys.exit(130)

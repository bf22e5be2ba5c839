"""What the command answers to its caller beside 0."""

from __future__ import annotations

REFUSED = 2
"""Where the caller can mend it."""

INTERRUPTED = 130
"""After Ctrl-C, as shells have it."""

UNHEARD = 141
"""Where nobody reads on, as of a command that `head` ends: 128 + SIGPIPE."""

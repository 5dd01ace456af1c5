"""``python -m brain2music`` is the command ``brain2music``."""

import sys

from brain2music.cli import main

if __name__ == "__main__":
    sys.exit(main())

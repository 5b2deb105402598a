"""Entry point of `qwen-desktop` and `python -m qwen_desktop`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; gives the exit status."""
    from qwen_desktop import cli

    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())

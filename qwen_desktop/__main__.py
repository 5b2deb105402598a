"""Entry point of `qwen-desktop` and `python -m qwen_desktop`."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    from qwen_desktop import windows


def main() -> int:
    """Run the command line; gives the exit status."""
    if sys.platform == "win32":
        windows.begin()
    if sys.argv[1:2] == ["--read-pdf"] and len(sys.argv) == 3:
        from qwen_desktop.storage import pdf_text  # this process is for one file

        return pdf_text.main(sys.argv[2])
    if sys.argv[1:2] == ["--compile-step"]:
        from qwen_desktop.engine.cpu import start

        return start.main(sys.argv[2:])
    from qwen_desktop import cli

    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())

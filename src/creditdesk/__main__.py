"""The command line, as `python -m creditdesk`."""

from creditdesk.cli import main

main()

"""Lets `python -m creditdesk` be the command line."""

from creditdesk.cli import main

main()

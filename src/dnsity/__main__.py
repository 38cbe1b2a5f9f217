"""Entry point of `python -m dnsity`, the command line."""

from dnsity.cli.app import main

main()

"""`python -m dnsity` is the command line."""

from dnsity.cli.app import main

main()

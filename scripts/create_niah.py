"""Make needle documents: `python scripts/create_niah.py --samples 100 --output niah_en.jsonl`.

The same as `dnsity data niah`; see its --help.
"""

import sys

from dnsity.cli.app import main

if __name__ == "__main__":
    sys.argv[1:1] = ["data", "niah"]
    main()

"""`python -m rubackup.roles.up`: the supervisor."""

import sys

from rubackup.roles.up.main import main

sys.exit(main())

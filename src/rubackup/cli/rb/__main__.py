"""`python -m rubackup.cli.rb`."""

from rubackup.cli.rb.main import main

main()

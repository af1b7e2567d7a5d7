"""The command line.

`commands` defines the commands and their arguments, `dispatch` runs them, `console` guards their
output, and `catalogue` holds the tables of `bioplaus list`.
"""

from bioplaus.cli.dispatch import main as main

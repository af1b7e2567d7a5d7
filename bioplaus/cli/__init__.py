"""The command line: its grammar (commands), what each command does (dispatch), what it prints
(console, catalogue).
"""

from bioplaus.cli.dispatch import main as main

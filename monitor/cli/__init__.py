"""The command line. `openrouter-monitor COMMAND --help` tells more than this.

Exit codes: 0 fine, 1 found a problem, 2 usage or settings, 3 refused by the guard; 130 after Ctrl-C, 141 when the
reader of a pipe went away. Errors are one line on stderr. Each command is a module of its own that is imported when it
is asked for, and imports what it needs when it runs.
"""

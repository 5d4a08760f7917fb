"""The command line: every page's twin."""

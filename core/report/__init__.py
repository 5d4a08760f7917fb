"""The report: what the pages show of an analysis, in one file that needs no server."""

"""Studies: a question about a selection of clips, from tasks for the engine to tables of numbers.

The command line answers one and ends; the dashboard keeps a board of them that every tab looks at.
"""

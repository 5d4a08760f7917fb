"""Measurements that compare: each prints what it compared, in one run, with medians."""

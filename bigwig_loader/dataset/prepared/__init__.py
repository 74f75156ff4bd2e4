"""Prepared data sets: variants and signal of many samples, cut down to regions, on disk.

`write`, `update`, `concat` and `transformed` make them, `layout` opens what is there. FORMAT.md
says what each file holds.
"""

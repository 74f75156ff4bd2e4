"""Decoded pieces into named, shaped arrays."""

"""Tokens that were made before: where they lie, and the batches that are made of them."""

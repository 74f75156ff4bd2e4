"""The comparison with other readers: which cells, and how one is measured."""

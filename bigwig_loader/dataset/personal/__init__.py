"""Personal genomes straight from their files: readers, buffers, epochs; see README.md."""

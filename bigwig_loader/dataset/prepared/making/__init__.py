"""How prepared data sets are made: inputs, parts, joining, memory. See `prepared.write`."""

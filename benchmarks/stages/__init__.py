"""Single stages: latency of one window, opening, memory, one-hot, and where the time goes."""

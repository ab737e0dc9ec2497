// Does nothing. Measured as a process: its time, and its peak memory.

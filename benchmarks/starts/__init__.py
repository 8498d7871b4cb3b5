"""First training steps of the digits model, as short scripts, which `benchmarks.startup` times.

Each is a whole program as its framework's user would write it, and says "done" once the first step is.
"""

"""The process and its machine: time limits, file descriptors, memory, files."""

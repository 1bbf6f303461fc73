"""The process and its machine: time limits, descriptors, memory, files."""

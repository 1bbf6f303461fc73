"""What must outlive this process, in one local file."""

"""What a notebook imports: check, hint, progress."""

"""The course: what is taught, and the machinery that teaches and grades it."""

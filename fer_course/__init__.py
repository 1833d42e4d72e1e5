"""What makes it a course: the checks of its exercises, and its interactive labs."""

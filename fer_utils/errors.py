"""The one exception that this package raises on purpose."""


class FerError(ValueError):
    """Something that the caller can mend: the message says what is wrong, where, and what to do."""

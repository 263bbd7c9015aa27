"""Errors that are the user's to mend: the command line prints them in one line, without a traceback."""


class UserError(Exception):
    """Something in the input, the configuration or the environment; the message names it and says what to do."""

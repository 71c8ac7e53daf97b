"""The errors that a user can cause, each one clear line."""


class UserError(ValueError):
    """Bad input: the message is one line that names the field, the value and the fix.

    The command line prints it as it is and exits with code 2; a library caller sees a `ValueError`.
    """

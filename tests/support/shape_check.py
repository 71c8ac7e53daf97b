"""What checks the arguments and results of the functions in pyproject's --jaxtyping-packages."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float

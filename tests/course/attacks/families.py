"""All attacks: importing this collects them."""

from tests.course.attacks import (  # noqa: F401
    ending,
    forging,
    hooks,
    leaks,
    lying,
    network,
    others,
    pages,
    patching,
    reading,
    resources,
)
from tests.course.attacks.form import ATTACKS as ATTACKS

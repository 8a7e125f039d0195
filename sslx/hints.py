"""What a typo may have been meant to be."""

import difflib
from collections.abc import Collection


def near(value: object, choices: Collection[object]) -> str:
    """The words that propose the choice whose name is nearest to `value`, none where no name is near."""
    found = difflib.get_close_matches(str(value), map(str, choices), n=1)
    return f"; did you mean {found[0]}?" if found else ""

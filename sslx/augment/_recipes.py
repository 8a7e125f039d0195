"""The table of recipes: a name -> one view function per view."""

from sslx.augment._digits import digits_view
from sslx.augment._views import View

RECIPES: dict[str, tuple[View, ...]] = {"digits": (digits_view, digits_view)}

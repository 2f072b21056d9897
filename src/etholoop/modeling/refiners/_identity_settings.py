"""The refiner that changes nothing has no settings."""

from etholoop.params import Section


class Params(Section):
    """No settings: every key is refused."""

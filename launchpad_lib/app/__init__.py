"""The notebooks live: a page whose controls are the notebook's typed parameters, and the same controls as widgets."""

from launchpad_lib.app.widgets import controls

__all__ = ["controls"]

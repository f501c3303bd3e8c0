"""Feature Launchpad: metric semantics, honest lift, and the run that publishes them."""

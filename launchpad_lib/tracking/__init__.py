"""The SDK a Python product embeds: `Tracker` keeps each event on the disk first and sends it in the background.

    from launchpad_lib.tracking import CollectorTransport, Tracker

    tracker = Tracker(CollectorTransport("https://collect.example"), spool="/var/lib/shop/events", app_version="2.1.0")
    tracker.track("page_viewed", user_id="u1", properties={"page": "home"})
    tracker.quiz_started(user_id="u1", quiz_id="laptop")

Nothing in it raises into the product after construction: what cannot be kept is counted and told to a callback.
"""

from launchpad_lib.tracking.settings import TrackingError
from launchpad_lib.tracking.tally import Counts
from launchpad_lib.tracking.tracker import Tracker
from launchpad_lib.tracking.transports import CollectorTransport, KafkaTransport, Outcome

__all__ = ["CollectorTransport", "Counts", "KafkaTransport", "Outcome", "Tracker", "TrackingError"]

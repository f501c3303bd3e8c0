"""The names under which notebooks import these charts until all of them say `launchpad_lib.charts`."""

from launchpad_lib.charts import *  # noqa: F403

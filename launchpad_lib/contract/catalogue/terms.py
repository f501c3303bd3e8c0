"""Words and columns that are no headline metric and still need one meaning: the second half of the glossary."""

from __future__ import annotations

from typing import NamedTuple


class Term(NamedTuple):
    """A word of the pages and, where it is one, the column or series that carries it."""

    word: str
    column: str
    meaning: str
    interval: str = ""


TERMS: tuple[Term, ...] = (
    Term(
        "Adoption, daily",
        "adoption_rate",
        "distinct users with an event of the feature on a local day, over distinct users active that day",
        "Wilson",
    ),
    Term(
        "Session",
        "session_key",
        "a new one after more than 30 minutes without an event; the client's own session_id wins, and is unique within "
        "its user only",
    ),
    Term(
        "Alert",
        "reports/alerts.jsonl",
        "a rule of the params that holds of a run, or of live figures, and one thing: begun once and ended once at "
        "each channel; what a run cannot tell neither begins nor ends one",
    ),
    Term(
        "Annotation",
        "annotations",
        "a deployment, incident, experiment or campaign at an instant, of one feature or of all; its content is its id",
    ),
    Term(
        "DAU, WAU, MAU",
        "dau, wau, mau",
        "distinct users on a local day, in the trailing 7 and the trailing 28 local days; before the 28th day of data "
        "MAU covers the days there are",
    ),
    Term(
        "Power-user curve",
        "active_days",
        "users by number of active days within the last complete local days, over users active in them",
    ),
    Term(
        "Frequency",
        "frequency",
        "users by number of times they did something within the last complete local days, over users who did it",
    ),
    Term(
        "Feature overlap",
        "feature_overlap",
        "users of both features, over users of the first; overlap lift = both x active / (first x second), 1 where one "
        "tells nothing about the other",
        "Wilson",
    ),
    Term(
        "Funnel, mode",
        "mode",
        "ordered: other events may come between; strict: none may; any order: all steps inside one window, step k is k "
        "different steps; strict order: ClickHouse's rule (a unit's log ends at the first event after entry that is "
        "neither a reached step nor the next)",
    ),
    Term(
        "Funnel, entry",
        "entry",
        "any: every entry is tried; first: only the unit's first. A unit is mature when the window of its first entry "
        "is over",
    ),
    Term(
        "Funnel, tie",
        "",
        "at one instant the order of the steps wins, and events that match no step come before the steps; one event is "
        "never two steps",
    ),
    Term(
        "Funnel, exclusion",
        "users_removed",
        "an event between entry and the last reached step of the reported path removes the unit, or ends the "
        "path there",
    ),
    Term(
        "Funnel, breakdown",
        "segment",
        "the value of the first or last reached step that has one, or of a chosen step; no value is a segment "
        "of its own",
    ),
    Term(
        "Retention, recurring",
        "",
        "every local period with a start is a start; n are user-periods",
        "delta method clustered by user",
    ),
    Term(
        "Retention, pooled",
        "",
        "sum of retained over sum of mature users of all cohorts, never a mean of rates",
        "Wilson",
    ),
    Term(
        "Cohort",
        "cohort",
        "users whose first start falls into the same local period, has the same property value, or who did something "
        "often enough soon after it",
    ),
    Term(
        "New, returning, resurrected, dormant",
        "lifecycle",
        "active for the first time; active in the period before too; active earlier but not in the period "
        "before; active "
        "in the period before and not now. Active = active before + new + resurrected − dormant",
    ),
    Term(
        "Transition",
        "share",
        'events followed by the event within the session, over all such events; "(end)" where the session ends, rare '
        'names are "(other)"',
    ),
    Term(
        "Standardised mean difference",
        "smd_before, smd_after",
        "(mean of treated − mean of control) / sqrt of the mean of the two unweighted variances",
    ),
    Term(
        "Control that can fail",
        "",
        "a comparison whose true answer is no effect; it passes only where its interval lies within the larger "
        "of 1 point "
        "and a third of the estimate; an interval that merely holds 0 is too wide to tell",
    ),
    Term("p95 latency", "p95_latency_ms", "the value that 95 % of observations of a feature and day do not exceed"),
    Term(
        "Mix share",
        "mix_share_platform",
        "share of a quantile's log change that re-weighting the earlier window to the later mix explains",
    ),
    Term(
        "Burn rate",
        "burn_long, burn_short",
        "(bad / observations of the window) / share the objective allows; an alert needs both windows above "
        "the factor, "
        "an exact binomial test against chance and a minimum of events",
    ),
    Term(
        "Error rate", "error_rate", "observations with an error, over observations with a known error count", "Wilson"
    ),
    Term(
        "PSI",
        "psi, psi_critical",
        "sum of (q − p) ln(q / p) over reference deciles, counts + 0.5; critical value chi2(0.95, B − 1) (1/n + 1/m)",
    ),
    Term(
        "observed_through",
        "observed_through",
        "the last instant of the stretch that the log covers as densely as before, or the one named in the "
        "params; rows "
        "beside the window stay in the lake, are counted, and move no number",
    ),
    Term(
        "Lag",
        "launchpad_stream_lag",
        "what a source partition has and the worker has not read: records of Kafka, bytes of a spool",
    ),
    Term("Watermark", "watermark_at", "newest received_at in the lake"),
    Term(
        "Delivery time, stream",
        "launchpad_stream_delivery_seconds",
        "from received_at to the end of the commit, of the oldest event of each commit",
    ),
    Term("Gap", "gaps", "a stretch of a source partition that was gone before it could be read"),
    Term(
        "Completion, live",
        "completion_rate",
        "of `launchpad live`: users with a quiz_completed, over users with a quiz_started, within the last minutes; no "
        "maturity, a view and not a report",
    ),
    Term(
        "Daily latency quantiles (fold)",
        "p50, p95, p99",
        "quantiles of the known latencies of a feature over a day or trailing calendar days, from a log histogram (off "
        "by at most 0.4 %)",
    ),
)

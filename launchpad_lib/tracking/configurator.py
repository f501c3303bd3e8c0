"""Typed methods for the configurator's six events; a test holds them against `schema.EVENT_PROPERTIES`."""

from __future__ import annotations

from typing import Any

FEATURE_ID = "configurator"


class ConfiguratorEvents:
    """Each method is `track` with the event's own typed properties, and gives the event_id (None when the event was
    refused).
    """

    def track(
        self,
        event_name: str,
        *,
        user_id: str | None = None,
        feature_id: str | None = None,
        properties: dict[str, Any] | None = None,
    ) -> str | None:
        """Tracks any event."""
        raise NotImplementedError

    def quiz_started(
        self, *, quiz_id: str, entry: str | None = None, user_id: str | None = None, feature_id: str = FEATURE_ID
    ) -> str | None:
        """A user began a quiz; `entry` is start, restart or shared_link."""
        return self._typed("quiz_started", user_id, feature_id, quiz_id=quiz_id, entry=entry)

    def slider_adjusted(
        self,
        *,
        slider: str,
        value: float,
        previous_value: float | None = None,
        quiz_id: str | None = None,
        user_id: str | None = None,
        feature_id: str = FEATURE_ID,
    ) -> str | None:
        """A slider came to rest on a value."""
        return self._typed(
            "slider_adjusted",
            user_id,
            feature_id,
            quiz_id=quiz_id,
            slider=slider,
            value=value,
            previous_value=previous_value,
        )

    def option_selected(
        self,
        *,
        option: str,
        question: str | None = None,
        quiz_id: str | None = None,
        user_id: str | None = None,
        feature_id: str = FEATURE_ID,
    ) -> str | None:
        """An option was chosen."""
        return self._typed("option_selected", user_id, feature_id, quiz_id=quiz_id, question=question, option=option)

    def quiz_completed(
        self,
        *,
        quiz_id: str,
        interactions: int | None = None,
        duration_ms: int | None = None,
        user_id: str | None = None,
        feature_id: str = FEATURE_ID,
    ) -> str | None:
        """The quiz was answered to its end."""
        return self._typed(
            "quiz_completed", user_id, feature_id, quiz_id=quiz_id, interactions=interactions, duration_ms=duration_ms
        )

    def result_viewed(
        self,
        *,
        result: str,
        score: float | None = None,
        quiz_id: str | None = None,
        user_id: str | None = None,
        feature_id: str = FEATURE_ID,
    ) -> str | None:
        """A recommendation was shown; `score` is 0 to 1."""
        return self._typed("result_viewed", user_id, feature_id, quiz_id=quiz_id, result=result, score=score)

    def result_shared(
        self,
        *,
        channel: str,
        result: str | None = None,
        quiz_id: str | None = None,
        user_id: str | None = None,
        feature_id: str = FEATURE_ID,
    ) -> str | None:
        """A recommendation was shared; `channel` is link, native, mail, ..."""
        return self._typed("result_shared", user_id, feature_id, quiz_id=quiz_id, result=result, channel=channel)

    def _typed(self, event_name: str, user_id: str | None, feature_id: str, **properties: object) -> str | None:
        return self.track(
            event_name,
            user_id=user_id,
            feature_id=feature_id,
            properties={k: v for k, v in properties.items() if v is not None},
        )

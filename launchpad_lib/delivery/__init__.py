"""Messages to people and machines: Slack, PagerDuty, webhooks, mail; each tried again and written down."""

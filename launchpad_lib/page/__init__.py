"""What a notebook says and how it becomes a page: metrics, findings, tables, charts, templates."""

"""`launchpad metrics`: every metric of the catalogue, one card, and the glossary's table."""

from __future__ import annotations

from launchpad_lib.cli.main import main
from launchpad_lib.cli.metric_cards import card, markdown
from launchpad_lib.contract.catalogue import METRICS, Metric
from launchpad_lib.contract.catalogue.glossary import metric_table

ODD = Metric("odd", "Odd", "Is it | odd?", "{window} | of\nit", "all", "", "score", "neither", "", "by hand")


def test_every_metric_is_in_the_list_and_in_the_glossary_once(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["metrics"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:] if line[:1].strip()]
    assert listed == list(METRICS)
    rows = metric_table(METRICS.values()).splitlines()
    assert [row.split("`")[1] for row in rows[2:]] == list(METRICS)
    assert all(row.startswith("| ") and row.count("|") == 9 for row in rows)
    assert "\n".join(rows) in markdown()


def test_a_card_has_the_words_of_the_catalogue_with_blanks_as_words(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["metrics", "completion_rate_user"]) == 0
    shown = {line.split("  ")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert (
        shown["numerator"]
        .rstrip()
        .endswith("users with the start event followed by the complete event within the window")
    )
    assert set(shown) >= {"question", "denominator", "interval", "unit", "direction", "maturity", "source"}
    assert dict(card(ODD))["interval"] == "none" and dict(card(ODD))["maturity"] == "every unit is counted"


def test_a_pipe_or_a_line_break_does_not_break_the_glossary(monkeypatch):
    monkeypatch.setitem(METRICS, "odd", ODD)
    assert "| `odd` | Is it \\| odd? | the window \\| of it | all | none | score |" in markdown("odd")


def test_an_unknown_metric_is_told_with_the_nearest_one(capsys):
    assert main(["metrics", "completion_rate_usr"]) == 2
    assert "did you mean 'completion_rate_user'" in capsys.readouterr().err
    assert main(["metrics", "x", "--markdown"]) == 2

"""What an alert is: one declaration, from which the rules of Prometheus and of Grafana are written.

It stands between the recorded series and the files. The text of a page is made of sentences; a sentence that
needs a figure of its own (a `Fact`) is left out where that figure is absent, so that no page ever says
"no value". Prometheus asks for facts while it writes the text; Grafana can't, there each fact is a query of
the rule beside the condition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dashboards.promql import Expr
from dashboards.recorded import SHOP, trusted_only

# How facts stand in sentences. Both template languages are Go's, and in both the dot is a sample.
_SHOWN = {
    "{percent}": "{{ .Value | humanizePercentage }}",
    "{count}": '{{ printf "%.0f" .Value }}',
    "{number}": '{{ printf "%.1f" .Value }}',
    "{amount}": '{{ printf "%.2f" .Value }}',
    "{duration}": "{{ .Value | humanizeDuration }}",
    "{time}": "{{ .Value | humanizeTimestamp }}",
}
# Ids come from clients: what could be markup or a control character in a chat window is not shown.
_SHOWABLE = r"reReplaceAll `[^\pL\pN _.:,/-]` `?`"
# Base addresses of links. Prometheus has them as external labels, which it drops from the alerts that it
# sends (docs/operations.md); Grafana has them from its environment, and knows its own address.
PAGES, DASHBOARDS, RUNBOOK = "pulse_url", "grafana_url", "runbook_url"
RUNBOOK_FILE = "docs/runbook.md"


def _showable(label: str) -> str:
    return f"{{{{ {label} | {_SHOWABLE} }}}}"


class Severity(StrEnum):
    """Who is told: critical wakes somebody, warning waits for the morning, none is for machines."""

    CRITICAL = "critical"
    WARNING = "warning"
    NONE = "none"


class About(StrEnum):
    """Whether the shop is in trouble or what looks at it: only the former is guarded by trust."""

    BUSINESS = "business"
    PIPELINE = "pipeline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A sentence about what a query finds; absent where it finds nothing.

    Attributes:
        expr: gives a series for each alert; its further labels can be shown.
        sentence: text with `{percent}`, `{count}`, … for the value and `{.label}` for a label.
        by: labels of the alert by which every selector of `expr` is narrowed.
        many: there may be several series for an alert; Grafana shows the highest of them.
    """

    expr: Expr
    sentence: str
    by: tuple[str, ...]
    many: bool = False

    def shown(self) -> str:
        """The sentence in Go's template language, with a sample as the dot."""
        text = re.sub(r"\{\.(\w+)\}", lambda found: _showable(f".Labels.{found[1]}"), self.sentence)
        for written, shown in _SHOWN.items():
            text = text.replace(written, shown)
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A rule: when it fires and what it says.

    Attributes:
        expr: gives a series above 0 for each alert, with exactly the labels `labels`.
        hold: how long before somebody is told, as Prometheus writes durations.
        keep: how long it still fires after the condition has ended: one page instead of three.
        summary: one line, with labels as `{live}`; `{the_scope}` is the scope as the API writes it.
        text: what has happened, in words that always hold.
        facts: what is known besides.
        panel: title of the panel on `dashboard` (its uid) that shows it.
        live: label that holds the live's id, where there is one.
        watches: paths of the figures whose trouble it tells of.
    """

    name: str
    severity: Severity
    about: About
    labels: tuple[str, ...]
    expr: Expr
    hold: str
    keep: str = ""
    summary: str
    text: str
    facts: tuple[Fact, ...] = ()
    dashboard: str
    panel: str
    live: str = ""
    watches: tuple[str, ...] = ()

    @property
    def rule(self) -> Expr:
        """The expression as it is evaluated: business rules speak only while figures can be trusted."""
        return trusted_only(self.expr) if self.about is About.BUSINESS else self.expr

    @property
    def anchor(self) -> str:
        """Its heading in the runbook, as a link names it."""
        return self.name.lower()

    def rule_labels(self) -> dict[str, str]:
        """Labels that the rule adds."""
        return {"severity": self.severity.value, "about": self.about.value}


def prometheus_annotations(alert: Alert) -> dict[str, str]:
    """Annotations in Prometheus' template language, links by its external labels."""
    links = {
        RUNBOOK: _or_file(f"$externalLabels.{RUNBOOK}"),
        DASHBOARDS: f"{{{{ $externalLabels.{DASHBOARDS} }}}}",
        PAGES: f"{{{{ $externalLabels.{PAGES} }}}}",
    }
    scopes = list(dict.fromkeys(fact.by for fact in alert.facts))
    # The matchers of this alert, once; a line of its own for each fact, without its line break in the page.
    matched = "".join(f"\n{{{{- $on{place} := {_matchers(by)} }}}}" for place, by in enumerate(scopes))
    sentences = "".join(f"\n{{{{- {_asked(fact, scopes.index(fact.by))}" for fact in alert.facts)
    return _annotations(alert, f"{alert.text}{matched}{sentences}", links)


def _matchers(by: tuple[str, ...]) -> str:
    """The matchers that hold for one alert, as text: Go's %q quotes as PromQL does."""
    matchers = ",".join(f"{label}=%q" for label in by)
    return f'printf "{matchers}" {" ".join(f"$labels.{label}" for label in by)}'


def _asked(fact: Fact, place: int) -> str:
    """The sentence for each series that a query narrowed to this alert finds."""
    query = f"printf `{fact.expr.text(narrowed=True)}` $on{place} | query"
    return f"range {query} }}}} {fact.shown()}{{{{ end }}}}"


def grafana_annotations(alert: Alert, fact_ids: Sequence[str]) -> dict[str, str]:
    """The same for Grafana; `fact_ids` are the queries of the facts."""
    links = {
        RUNBOOK: _or_file(_of_environment(RUNBOOK)),
        DASHBOARDS: '{{ externalURL | reReplaceAll "/+$" "" }}',
        PAGES: f"{{{{ {_of_environment(PAGES)} }}}}",
    }
    sentences = "".join(
        # A query that found nothing has no labels, and a Value of 0.
        f'\n{{{{- with index $values "{name}" }}}}{{{{ if .Labels }}}} {fact.shown()}'
        "{{ end }}{{ end }}"
        for name, fact in zip(fact_ids, alert.facts, strict=True)
    )
    return _annotations(alert, f"{alert.text}{sentences}", links)


def _or_file(address: str) -> str:
    """The runbook's address, or where it lies in the repository if there is none."""
    return f"{{{{ with {address} }}}}{{{{ . }}}}{{{{ else }}}}{RUNBOOK_FILE}{{{{ end }}}}"


def _of_environment(name: str) -> str:
    """A base address: Grafana puts it in place of ${…} before the template is read.

    In annotations only newer ones do (its pull request 127214, of 2026). In others ${…} stands there as it is
    written, which is no address: empty then, as without the variable.
    """
    return f"reReplaceAll `^[$].*` `` `${{{name.upper()}}}`"


def _annotations(alert: Alert, description: str, links: Mapping[str, str]) -> dict[str, str]:
    shop = "&".join(f"var-{label}={_in_query(label)}" for label in SHOP if label in alert.labels)
    annotations = {
        "summary": _summary(alert),
        "description": description,
        "runbook_url": f"{links[RUNBOOK]}#{alert.anchor}",
        "dashboard_url": f"{links[DASHBOARDS]}/d/{alert.dashboard}{'?' if shop else ''}{shop}",
    }
    if alert.live:
        annotations["live_url"] = f"{links[PAGES]}/live/{_in_query(alert.live)}"
    return annotations


def _summary(alert: Alert) -> str:
    # A pair's kind stands before its first value only: platform:tiktok,gateway:adyen.
    kind = "{{ reReplaceAll `,.*` `` $labels.scope_kind }}"
    scope = f"{kind}{{{{ with $labels.scope }}}}:{_showable('.')}{{{{ end }}}}"
    told = alert.summary.replace("{the_scope}", scope)
    return re.sub(r"(?<!\{)\{(\w+)\}", lambda found: _showable(f"$labels.{found[1]}"), told)


def _in_query(label: str) -> str:
    # urlquery writes a space as "+", which is a plus in a path.
    return f'{{{{ $labels.{label} | urlquery | reReplaceAll "[+]" "%20" }}}}'

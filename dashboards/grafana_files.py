"""Every file of Grafana's that is generated: the dashboards, and what makes Grafana load them.

It stands beside the rules; `shop-pulse render` writes both. Alert rules for Grafana are `dashboards/alerts`.
"""

from __future__ import annotations

import json
from functools import cache

from dashboards.grafana_build import board_json
from dashboards.grafana_lives import BOARD as LIVES
from dashboards.grafana_overview import BOARD as OVERVIEW
from dashboards.grafana_payments import BOARD as PAYMENTS
from dashboards.grafana_pipeline import BOARD as PIPELINE
from dashboards.grafana_redirection import BOARD as REDIRECTION
from dashboards.grafana_stakeholders import BOARD as STAKEHOLDERS
from dashboards.yaml_text import Data, dump

BOARDS = (OVERVIEW, LIVES, PAYMENTS, STAKEHOLDERS, REDIRECTION, PIPELINE)
FOLDER = "dashboards/grafana"
DATA_SOURCES = f"{FOLDER}/provisioning/datasources/prometheus.yaml"
PROVIDERS = f"{FOLDER}/provisioning/dashboards/shop-pulse.yaml"
# As in deploy/prometheus.yml: panels ask for no finer steps than there are samples.
SCRAPE_INTERVAL = "10s"
# Where the dashboards lie in Grafana's container: docker-compose.yml mounts them there.
MOUNTED = "/etc/shop-pulse/dashboards"
HEADING = "Written by `shop-pulse render`; do not edit. How it is loaded: docs/grafana.md.\n"


def files() -> dict[str, str]:
    """Path below the repository's root, and content."""
    return {
        **{f"{FOLDER}/{board.uid}.json": board_json(board, BOARDS) for board in BOARDS},
        DATA_SOURCES: dump(data_sources(), HEADING),
        PROVIDERS: dump(providers(), HEADING),
    }


@cache
def panel_ids(uid: str) -> dict[str, int]:
    """The numbers of a board's panels by title, for links to one panel. Raises StopIteration."""
    board = next(board for board in BOARDS if board.uid == uid)
    panels = json.loads(board_json(board, BOARDS))["panels"]
    return {panel["title"]: panel["id"] for panel in panels if panel["type"] != "row"}


def data_sources() -> Data:
    """The data source, with its address and uid from Grafana's environment."""
    return {
        "apiVersion": 1,
        "datasources": [
            {
                "name": "Shop Pulse",
                "type": "prometheus",
                "access": "proxy",
                "url": "${PROMETHEUS_URL}",
                # Grafana's own alert rules name the data source by uid, dashboards by a variable.
                "uid": "${PROMETHEUS_UID}",
                "isDefault": True,
                "editable": False,
                "jsonData": {"httpMethod": "POST", "timeInterval": SCRAPE_INTERVAL, "manageAlerts": True},
            }
        ],
    }


def providers() -> Data:
    """Where Grafana finds the dashboards."""
    return {
        "apiVersion": 1,
        "providers": [
            {
                "name": "shop-pulse",
                "orgId": 1,
                "folder": "Shop Pulse",
                "type": "file",
                "disableDeletion": False,
                "allowUiUpdates": False,
                "updateIntervalSeconds": 30,
                "options": {"path": MOUNTED, "foldersFromFilesStructure": False},
            }
        ],
    }

#!/usr/bin/env python3
"""Makes the dashboards that Grafana provisions: `source/NAME.toml` becomes `dashboards/NAME.json`.

Each source lists rows of panels; a panel has a title, a description, a unit and one query or several, in PromQL or SQL.
Run it after a change. A test holds the dashboards to what it makes.
"""

import json
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = {
    "prometheus": {"type": "prometheus", "uid": "${prometheus}"},
    "postgresql": {"type": "grafana-postgresql-datasource", "uid": "${postgresql}"},
}
# The columns of Grafana's grid, and how high a panel is in its rows.
COLUMNS = 24
HEIGHTS = {"stat": 4, "table": 9, "logs": 10}
HEIGHT = 8


def dashboard(name: str, source: dict) -> dict:
    panels, top = [], 0
    for row in source["row"]:
        panels.append(
            {
                "type": "row", "title": row["title"], "id": len(panels) + 1, "collapsed": False, "panels": [],
                "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
            }
        )
        top, left, height = top + 1, 0, 0
        for spec in row["panel"]:
            width, high = spec["width"], spec.get("height", HEIGHTS.get(spec["type"], HEIGHT))
            if left + width > COLUMNS:
                top, left, height = top + height, 0, 0
            grid = {"x": left, "y": top, "w": width, "h": high}
            panels.append(panel(spec, len(panels) + 1, grid))
            left, height = left + width, max(height, high)
        top += height
    variables = [datasource(kind) for kind in SOURCES if kind in source["sources"]]
    return {
        "uid": f"flowctl-{name}",
        "title": source["title"],
        "description": source["description"],
        "tags": ["flowctl"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": source.get("from", "now-6h"), "to": "now"},
        "refresh": source.get("refresh", "30s"),
        "links": [
            {
                "type": "dashboards", "title": "flowctl", "tags": ["flowctl"], "asDropdown": True, "icon": "external link",
                "includeVars": True, "keepTime": True, "targetBlank": False, "tooltip": "The other dashboards", "url": "",
            }
        ],
        "templating": {"list": variables + [variable(it) for it in source.get("variable", [])]},
        "annotations": {"list": []},
        "panels": panels,
    }


def datasource(kind: str) -> dict:
    label = {"prometheus": "Metrics", "postgresql": "Store"}[kind]
    return {"name": kind, "label": label, "type": "datasource", "query": SOURCES[kind]["type"], "refresh": 1}


def variable(spec: dict) -> dict:
    kind = "prometheus" if "promql" in spec else "postgresql"
    query = spec.get("promql") or spec["sql"]
    several = spec.get("several", False)
    made = {
        "name": spec["name"], "label": spec["label"], "description": spec["description"], "type": "query",
        "datasource": SOURCES[kind], "refresh": 2, "includeAll": several, "multi": several,
        "query": {"query": query, "refId": spec["name"]} if kind == "prometheus" else query,
    }
    return made | ({"allValue": ".*"} if several else {})


def panel(spec: dict, number: int, grid: dict) -> dict:
    kind = "prometheus" if "promql" in spec else "postgresql"
    return {
        "id": number,
        "type": spec["type"],
        "title": spec["title"],
        "description": spec["description"],
        "datasource": SOURCES[kind],
        "gridPos": grid,
        "targets": targets(spec, kind),
        "fieldConfig": {"defaults": defaults(spec), "overrides": overrides(spec)},
        "options": options(spec),
    }


def targets(spec: dict, kind: str) -> list:
    """A query is a text, or a table from what its series are called to their query."""
    queries = spec.get("promql") or spec["sql"]
    queries = {spec.get("legend", ""): queries} if isinstance(queries, str) else queries
    made = []
    for letter, (legend, query) in zip("ABCDEF", queries.items()):
        target = {"refId": letter, "datasource": SOURCES[kind], "editorMode": "code"}
        if kind == "postgresql":
            made.append(target | {"rawQuery": True, "rawSql": query, "format": spec.get("format", "table")})
            continue
        form = {"table": "table", "heatmap": "heatmap"}.get(spec["type"], "time_series")
        instant = spec["type"] in ("stat", "table", "bargauge")
        target |= {"expr": query, "legendFormat": legend, "format": form, "instant": instant, "range": not instant}
        made.append(target | ({"exemplar": True} if spec.get("exemplars") else {}))
    return made


def defaults(spec: dict) -> dict:
    made = {"unit": spec["unit"], "color": {"mode": "palette-classic"}, "thresholds": thresholds(spec)}
    made |= {key: spec[key] for key in ("min", "max", "decimals") if key in spec}
    if "thresholds" in spec:
        made["color"] = {"mode": "thresholds"}
    if "colours" in spec:
        made["mappings"] = [{"type": "value", "options": {text: {"color": it, "index": i} for i, (text, it) in enumerate(spec["colours"].items())}}]
    if spec["type"] == "timeseries":
        made["color"] = {"mode": "palette-classic"}
        made["custom"] = {
            "drawStyle": spec.get("style", "line"), "lineWidth": 1, "fillOpacity": 60 if spec.get("stack") else 10,
            "showPoints": "auto", "stacking": {"mode": "normal" if spec.get("stack") else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if "thresholds" in spec else "off"},
        }
    if spec["type"] == "table":
        made["custom"] = {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": True}
    return made


def thresholds(spec: dict) -> dict:
    steps = spec.get("thresholds", {"green": None})
    return {"mode": "absolute", "steps": [{"color": it, "value": None if at == "base" else at} for it, at in steps.items()]}


def overrides(spec: dict) -> list:
    """Units of single columns, colours of states, and series that only push others to their place."""
    by_name = lambda name, *properties: {"matcher": {"id": "byName", "options": name}, "properties": list(properties)}
    made = [by_name(name, {"id": "unit", "value": unit}) for name, unit in spec.get("units", {}).items()]
    made += [by_name(name, {"id": "color", "value": {"mode": "fixed", "fixedColor": it}}) for name, it in spec.get("series", {}).items()]
    return made


def options(spec: dict) -> dict:
    legend = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
    tooltip = {"mode": "multi", "sort": "desc"}
    whole = {"values": False, "calcs": ["lastNotNull"], "fields": ""}
    each = {"values": True, "calcs": [], "fields": spec.get("fields", ""), "limit": 50}
    match spec["type"]:
        case "timeseries":
            return {"legend": legend, "tooltip": tooltip}
        case "stat":
            return {
                "reduceOptions": each if "sql" in spec else whole, "colorMode": "value", "graphMode": "none", "justifyMode": "auto",
                "orientation": "auto", "textMode": "auto", "wideLayout": True, "showPercentChange": False, "percentChangeColorMode": "standard",
            }
        case "bargauge":
            return {
                "reduceOptions": whole, "displayMode": "lcd", "valueMode": "color", "namePlacement": "auto", "showUnfilled": True,
                "sizing": "auto", "minVizWidth": 8, "minVizHeight": 16, "maxVizHeight": 300, "orientation": "horizontal", "legend": legend | {"showLegend": False},
            }
        case "barchart":
            return {
                "xField": spec["x"], "orientation": "horizontal", "stacking": "normal", "showValue": "never", "groupWidth": 0.7, "barWidth": 0.97,
                "barRadius": 0, "fullHighlight": False, "xTickLabelRotation": 0, "xTickLabelMaxLength": 0, "xTickLabelSpacing": 0, "legend": legend, "tooltip": tooltip,
            }
        case "heatmap":
            return {
                "calculate": False, "yAxis": {"unit": spec["unit"], "axisPlacement": "left"}, "cellGap": 1, "rowsFrame": {"layout": "auto"},
                "color": {"mode": "scheme", "scheme": "Oranges", "exponent": 0.5, "steps": 64, "reverse": False, "fill": "dark-orange"},
                "filterValues": {"le": 1e-9}, "showValue": "never", "tooltip": {"mode": "single", "yHistogram": True, "showColorScale": False},
                "legend": {"show": True}, "exemplars": {"color": "rgba(255,0,255,0.7)"},
            }
        case "logs":
            return {
                "showTime": True, "showLabels": False, "showCommonLabels": False, "showLogContextToggle": False, "wrapLogMessage": True, "prettifyLogMessage": False,
                "enableLogDetails": True, "dedupStrategy": "none", "sortOrder": "Ascending",
            }
        case "table":
            return {"showHeader": True, "cellHeight": "sm", "frameIndex": 0}
    raise SystemExit(f"{spec['title']}: there is no panel of type {spec['type']}")


def main() -> None:
    for source in sorted((HERE / "source").glob("*.toml")):
        made = dashboard(source.stem, tomllib.loads(source.read_text()))
        text = json.dumps(made, indent=2, ensure_ascii=False)
        (HERE / "dashboards" / f"{source.stem}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()

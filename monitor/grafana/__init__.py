"""Dashboards as code: queries and panels in Python, structure in jinja2, written as JSON that Grafana reads."""

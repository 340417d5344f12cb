"""The page at `/`: what runs here, and where to look."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>openrouter-monitor</title>
<style>body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }}</style>
</head>
<body>
<h1>openrouter-monitor</h1>
<p>The guard, the ledger and the watchtower for OpenRouter's free models. Version {version}.</p>
<ul>
<li>/api/v1: OpenRouter's API, guarded; apps take it as their base URL</li>
<li><a href="/api/status">/api/status</a>: how things stand, as JSON</li>
<li><a href="/metrics">/metrics</a>: for Prometheus</li>
<li><a href="/-/healthy">/-/healthy</a>: whether this process is alive</li>
<li><a href="/-/ready">/-/ready</a>: whether the store can be read and the catalogue is there</li>
</ul>
</body>
</html>
"""

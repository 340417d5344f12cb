"""What Prometheus is told: `families` names every metric once, `collector` fills them from one moment of the store."""

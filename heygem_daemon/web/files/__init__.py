"""Results, sources and ZIPs for download: opened without following a link, sent in ranges, cut where they break."""

"""Reports: results in, text out. Knows no cluster and no command line."""

"""Raw evidence: reports, quotes and logs as a machine's firmware returned them, and the verdict on them."""

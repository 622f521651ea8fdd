"""Collateral of the vendors' services for a verifier: from a folder, from the cache on disk, from the network.

What comes from here is judged like what the evidence carries: it counts only if it leads to a pinned key. The network
is used only when the party asks for it.
"""

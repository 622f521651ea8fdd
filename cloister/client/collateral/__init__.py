"""Collateral from vendors' services for a verifier: from a folder, from the cache on disk, from the network.

Collateral is not trusted because of where it came from: like what the evidence carries, it counts only if it leads to a
pinned key. The network is used only when the party asks for it.
"""

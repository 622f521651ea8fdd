"""Files on the scratch disk: written once, then sealed under a hash tree whose root is in memory."""

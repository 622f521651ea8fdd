"""The contents of the root file system and the initrd."""

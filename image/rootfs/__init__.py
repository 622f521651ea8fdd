"""The root file system and the initrd."""

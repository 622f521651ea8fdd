"""Image registries: one stack per Azure subscription or Google Cloud project, used by the workspaces there.

``invoke image.publish`` uploads disks; this program declares the storage and creates images from the disks in it.
"""

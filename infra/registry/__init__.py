"""Where images live: one stack per Azure subscription or Google Cloud project, used by the workspaces there.

The bytes get there by ``invoke image.publish``; this program declares the place and makes images of what lies in it.
"""

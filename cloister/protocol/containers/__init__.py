"""The rules for images of containers: archives in the OCI image layout, and the root file system that they unpack to.

The client checks with these rules before anything is agreed on, the launcher unpacks with them in the sandbox, so both
come to the same outcome. Standard library only, except for layers in Zstandard. ``image`` opens an archive, ``rootfs``
applies its layers, ``process`` says what is started.

Sources: OCI Image Format Specification 1.1 (image-layout.md, image-index.md, manifest.md, config.md, layer.md), and
Docker's image manifest version 2, schema 2.
"""

"""The bill of materials of an image: every Debian package and wheel in it, with its licences and its source."""

"""What a machine of each platform measures: by its image, its firmware, and what others published or recorded."""

"""The appraisal of each platform: one module a platform, and what they share."""

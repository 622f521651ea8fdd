"""Declared Pulumi resources: types, labels and tags."""

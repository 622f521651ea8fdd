"""A computation's definition as one file, from one workspace to another: without data and private keys."""

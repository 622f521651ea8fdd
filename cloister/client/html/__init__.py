"""What the pages for a browser share: how templates are filled in, the style, and tables."""

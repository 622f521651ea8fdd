"""Building an image: from locked inputs to outputs, measurements and comparison."""

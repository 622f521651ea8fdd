"""The pictures of README and benchmarks, written from the text and the numbers that they show."""

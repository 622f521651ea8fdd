"""Rules that every deployed resource must satisfy, checked independently of the code that declares it."""

import polars as pl

table = pl.DataFrame({"who": ["a", "b", "a"], "x": [1.5, 2.5, 3.5]})
table.write_parquet("results/a.parquet")
table.write_csv("results/a.csv")
lazy = pl.scan_parquet("results/a.parquet").group_by("who").agg(pl.col("x").sum()).sort("who")
print(lazy.collect().rows(), pl.read_csv("results/a.csv").equals(table))
when = pl.Series([0]).cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone("US/Eastern")
print(when[0])

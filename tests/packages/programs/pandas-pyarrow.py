import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

table = pd.DataFrame({"who": ["a", "b", "a"], "x": [1.5, 2.5, 3.5]})
table["when"] = pd.date_range("2026-01-01", periods=3, tz="US/Eastern")
table.to_parquet("results/a.parquet", compression="zstd")
print(pd.read_parquet("results/a.parquet").equals(table), pq.read_schema("results/a.parquet").field("when").type)
pq.write_table(pa.table({"n": [1, 2, 3]}), "results/b.parquet")
print(pc.sum(ds.dataset("results/b.parquet").to_table()["n"]).as_py(), pd.read_parquet("results/b.parquet").n.sum())
table.to_feather("results/c.feather")
print(
    pd.read_feather("results/c.feather").groupby("who").x.sum().to_dict(), pa.compute.strftime(pa.scalar(table.when[0]))
)

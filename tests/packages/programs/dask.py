import dask
import dask.dataframe as dd
import pandas as pd

if __name__ == "__main__":
    frame = dd.from_pandas(pd.DataFrame({"who": list("abab"), "x": range(4)}), npartitions=2)
    frame.to_parquet("results/parts")
    for scheduler in ("threads", "processes"):
        with dask.config.set(scheduler=scheduler):
            print(dd.read_parquet("results/parts").groupby("who").x.sum().compute().to_dict())

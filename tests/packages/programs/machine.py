import joblib
import polars as pl
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

x, y = make_classification(200, class_sep=2, random_state=1)
model = LogisticRegression().fit(x, y)
joblib.dump(model, "results/model.joblib")
table = pl.DataFrame({"said": joblib.load("results/model.joblib").predict(x), "is": y})
table.write_parquet("results/said.parquet")
print(pl.read_parquet("results/said.parquet").select((pl.col("said") == pl.col("is")).mean() > 0.9).item())

import numpy as np
import xgboost

x = np.random.default_rng(1).normal(size=(300, 4))
y = (x[:, 0] > 0).astype(int)
model = xgboost.XGBClassifier(n_estimators=10, n_jobs=2).fit(x, y)
model.save_model("results/model.ubj")
read = xgboost.XGBClassifier()
read.load_model("results/model.ubj")
print((read.predict(x) == y).mean() > 0.95)

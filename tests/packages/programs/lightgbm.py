import lightgbm
import numpy as np

x = np.random.default_rng(1).normal(size=(300, 4))
y = (x[:, 0] > 0).astype(int)
model = lightgbm.LGBMClassifier(n_estimators=20, n_jobs=2, verbose=-1).fit(x, y)
model.booster_.save_model("results/model.txt")
print((lightgbm.Booster(model_file="results/model.txt").predict(x).round() == y).mean() > 0.95)

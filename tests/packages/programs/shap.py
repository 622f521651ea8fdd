import matplotlib.pyplot as plt
import numpy as np
import shap
from sklearn.ensemble import RandomForestRegressor

x = np.random.default_rng(1).normal(size=(60, 3))
model = RandomForestRegressor(10, random_state=1).fit(x, 3 * x[:, 0])
values = shap.TreeExplainer(model).shap_values(x)
print(values.shape, int(abs(values).mean(0).argmax()))
shap.summary_plot(values, x, show=False)
plt.savefig("results/shap.png")

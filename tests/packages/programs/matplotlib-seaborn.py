from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

data = pd.DataFrame({"x": [1, 2, 3, 4], "y": [4, 1, 3, 2], "kind": list("aabb")})
figure, axes = plt.subplots(1, 2)
sns.scatterplot(data, x="x", y="y", hue="kind", ax=axes[0])
sns.heatmap(data[["x", "y"]].corr(), annot=True, ax=axes[1])
axes[0].set_title("Größe $x^2$")
for kind in ("png", "pdf", "svg"):
    figure.savefig(f"results/plot.{kind}")
print(plt.get_backend(), Path("results/plot.png").read_bytes()[:8], plt.imread("results/plot.png").shape)

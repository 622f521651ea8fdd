import numpy as np
from scipy import integrate, linalg, optimize, signal, sparse, spatial, stats
from scipy.sparse.linalg import spsolve

print(round(optimize.minimize(lambda x: (x[0] - 3) ** 2, [0.0]).x[0], 3), round(integrate.quad(np.sin, 0, np.pi)[0], 6))
print(round(linalg.det(np.diag([2.0, 3.0])), 3), spsolve(sparse.eye(3, format="csc"), np.ones(3)).sum())
print(round(stats.ttest_1samp([1.0, 2.0, 3.0], 2.0).pvalue, 3), len(spatial.KDTree(np.eye(3)).query([1, 0, 0], 2)[0]))
print(signal.find_peaks([0, 1, 0, 2, 0])[0])

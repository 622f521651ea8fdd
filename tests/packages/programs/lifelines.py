import pandas as pd
from lifelines import CoxPHFitter, KaplanMeierFitter

data = pd.DataFrame({"t": range(1, 41), "e": [1, 1, 1, 0] * 10, "x": [i * 7 % 11 for i in range(40)]})
print(KaplanMeierFitter().fit(data.t, data.e).median_survival_time_)
print(CoxPHFitter().fit(data, "t", "e").summary.shape)

import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf

x = np.arange(50.0)
data = pd.DataFrame({"x": x, "y": 2 * x + 1 + np.sin(x)})
print(smf.ols("y ~ x", data).fit().params.round(1).to_dict())
print(sm.tsa.ARIMA(data.y, order=(1, 1, 0)).fit().nobs, sm.GLM(data.y, sm.add_constant(data.x)).fit().converged)

from collections import Counter

from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

x, y = make_classification(300, weights=[0.9], class_sep=2, random_state=1)
print(sorted(Counter(SMOTE(random_state=1).fit_resample(x, y)[1]).values())[0] > 200)
print(make_pipeline(SMOTE(random_state=1), LogisticRegression()).fit(x, y).score(x, y) > 0.9)

import joblib
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

x, y = make_classification(400, class_sep=2, random_state=1)
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
joblib.dump(model, "results/model.joblib")
read = joblib.load("results/model.joblib")
forest = RandomForestClassifier(20, n_jobs=2, random_state=1).fit(x, y)
boosted = HistGradientBoostingClassifier(max_iter=10).fit(x, y)
folds = cross_val_score(LogisticRegression(), x, y, cv=3, n_jobs=2)
print(
    all(read.predict(x) == model.predict(x)),
    min(model.score(x, y), forest.score(x, y), boosted.score(x, y), *folds) > 0.9,
)

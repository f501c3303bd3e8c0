"""Who is treated and what they do, predicted for rows that a model has not seen: folds of whole users, and a choice
between a penalised linear and a boosted model by the loss on such rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ModelName = Literal["linear", "linear, shrunk", "boosted", "linear, then boosted"]
# On the held-out rows of the first folds boosted models learn how many trees they need; on those of the next ones,
# which decided nothing before, the models race; the winner does the others alone.
TUNED_FOLDS = 2
RACED_FOLDS = 2
# A fit sees at most so many rows, of users drawn at random: more would make it slower and hardly better.
MOST_FITTED = 100_000
# Under so many rows a boosted model has never won in the studies, and costs most.
FEWEST_BOOSTED = 400
# Of the rarer kind for each covariate, under which the hardly penalised model of who is treated may not race: with
# fewer it fits luck, wins by luck on a few held rows, and its weights leave a handful of users.
FEWEST_OF_A_KIND = 10
MANY_ROWS = 10_000
BINS = 255
MOST_BINNED = 200_000  # rows of which the bins are made
SMALLEST_PROBABILITY = 1e-5


class Nuisance(NamedTuple):
    """Predictions for every row by models that did not see its user, and which kind of model made them."""

    predicted: np.ndarray
    model: ModelName


def user_folds(users: np.ndarray, marks: np.ndarray, *, folds: int, rng: np.random.Generator) -> np.ndarray:
    """The fold of each row: whole users, each fold with about the same share of every mark.

    Args:
        users: 0, 1, ..., one number per user.
        marks: a small number per row; a user has the largest of its rows.

    >>> fold = user_folds(np.array([0, 0, 1, 2, 3]), np.zeros(5, int), folds=2, rng=np.random.default_rng(1))
    >>> bool(fold[0] == fold[1]), np.bincount(fold[1:]).tolist()
    (True, [2, 2])
    """
    of_user = np.zeros(int(users.max()) + 1, np.int64)
    np.maximum.at(of_user, users, marks)
    fold = np.empty(len(of_user), np.int64)
    for mark in np.unique(of_user):
        own = rng.permutation(np.flatnonzero(of_user == mark))
        fold[own] = (np.arange(len(own)) + int(rng.integers(folds))) % folds
    return fold[users]


def crossfit(
    x: np.ndarray,
    y: np.ndarray,
    fold: np.ndarray,
    *,
    users: np.ndarray,
    rng: np.random.Generator,
    treated: np.ndarray | None = None,
    arm: int = 0,
    codes: np.ndarray | None = None,
) -> Nuisance:
    """Out-of-fold means of y given x: probabilities where y is 0 or 1. Predictions are for all rows.

    Args:
        codes: `binned(x)`, where it is known.
        treated: 0 or 1 per row, where the mean of one arm is asked: it is learnt from the rows of that arm.
        arm: which.
    """
    learn = np.ones(len(y), np.bool_) if treated is None else treated == arm
    is_binary = bool(np.isin(y, (0, 1)).all())
    racing = _candidates(is_binary, int(learn.sum()), seed=int(rng.integers(2**31)))
    predicted = {name: np.empty(len(y)) for name in racing}
    losses = dict.fromkeys(racing, 0.0)
    if treated is None and is_binary and min(y.sum(), len(y) - y.sum()) < FEWEST_OF_A_KIND * x.shape[1]:
        racing.pop("linear", None)
        losses.pop("linear", None)
    drawn = learn & _drawn(users, int(learn.sum()), rng)
    tuned = min(TUNED_FOLDS, int(fold.max()))
    seen = {name: x for name in racing}
    if "boosted" in racing:
        seen["boosted"] = binned(x) if codes is None else codes
    for k in range(int(fold.max()) + 1):
        test = fold == k
        if k == tuned + RACED_FOLDS:
            best = min(losses, key=lambda name: losses[name])
            racing = {best: racing[best]}
        train, held = drawn & ~test, learn[test]
        known = y[test][held]
        for name, model in racing.items():
            given = (seen[name][train], y[train], seen[name][test])
            learning = partial(model.tuned_means, held=held, known=known) if k < tuned else model.means
            predicted[name][test] = _fitted(learning, *given)
            losses[name] += _loss(known, predicted[name][test][held], is_binary) if k >= tuned else 0.0
    best = min(racing, key=lambda name: losses[name])
    return Nuisance(predicted[best], best)


def binned(x: np.ndarray) -> np.ndarray:
    """Each column as codes of 255 bins of about as many rows (of its values where there are fewer), as unsigned bytes.

    Boosted models look at nothing else; to find the bins anew for every fit would be a third of their time. The bins
    hang on the covariates of all rows, on no outcome.

    >>> binned(np.array([[0.5, 7.0], [-1.0, 7.0], [2.0, 7.0]])).tolist()
    [[1, 0], [0, 0], [2, 0]]
    """
    codes = np.empty(x.shape, np.uint8, order="F")
    step = -(-len(x) // MOST_BINNED) if len(x) else 1
    for place in range(x.shape[1]):
        some = x[::step, place]
        values = np.unique(some)
        if len(values) > BINS:
            inner = np.linspace(0, 100, BINS + 1)[1:-1]
            edges = np.unique(np.percentile(some, inner, method="averaged_inverted_cdf"))
        else:
            edges = values[:-1] / 2 + values[1:] / 2
        codes[:, place] = np.searchsorted(edges, x[:, place], side="left")
    return codes


class _OfCodes:
    """Boosted trees of `binned` covariates, which need no bins of their own."""

    def _bin_data(self, X: np.ndarray, sample_weight: Any, is_training_data: bool) -> np.ndarray:
        if is_training_data:  # each code is its own bin
            alone = np.tile(np.arange(float(BINS))[:, None], X.shape[1])
            super()._bin_data(alone, None, True)  # type: ignore[misc]  # of the scikit-learn class beside it
        return X.astype(np.uint8, order="F" if is_training_data else "C")


class _ChancesOfCodes(_OfCodes, HistGradientBoostingClassifier):
    pass


class _MeansOfCodes(_OfCodes, HistGradientBoostingRegressor):
    pass


def _drawn(users: np.ndarray, rows: int, rng: np.random.Generator) -> np.ndarray:
    """The rows of as many users, drawn at random, as a fit may see."""
    if rows <= MOST_FITTED:
        return np.ones(len(users), np.bool_)
    return (rng.random(int(users.max()) + 1) < MOST_FITTED / rows)[users]


class _Model(Protocol):
    """A kind of model: learns from x and y, and predicts the means of rows it has not seen."""

    def means(self, x: np.ndarray, y: np.ndarray, unseen: np.ndarray) -> np.ndarray:
        """The means of the rows `unseen`."""

    def tuned_means(
        self, x: np.ndarray, y: np.ndarray, unseen: np.ndarray, *, held: np.ndarray, known: np.ndarray
    ) -> np.ndarray:
        """The same, where the outcomes `known` of the rows `held` of `unseen` decide how much is learnt."""


def _candidates(is_binary: bool, rows: int, *, seed: int) -> dict[ModelName, _Model]:
    """The models that race; the first wins a tie."""
    found: dict[ModelName, _Model] = {}
    if is_binary:
        found["linear, shrunk"] = _Linear(partial(_logistic, 0.02))
        found["linear"] = _Linear(partial(_logistic, 1.0))
    else:
        found["linear"] = _Linear(_ridge)
    if rows >= FEWEST_BOOSTED:
        found["boosted"] = _Boosted(is_binary, rows, seed)
        if not is_binary:
            found["linear, then boosted"] = _LinearThenBoosted(rows, seed)
    return found


def _logistic(strength: float) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, solver="newton-cholesky", max_iter=50))


def _ridge() -> Any:
    return make_pipeline(StandardScaler(), RidgeCV(alphas=(1.0, 10.0, 100.0, 1000.0)))


class _Linear:
    """A penalised linear model, fitted anew for every fold."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def means(self, x: np.ndarray, y: np.ndarray, unseen: np.ndarray) -> np.ndarray:
        return _predicted(self.make().fit(x, y), unseen)

    def tuned_means(self, x: np.ndarray, y: np.ndarray, unseen: np.ndarray, **_: np.ndarray) -> np.ndarray:
        return self.means(x, y, unseen)


class _Boosted:
    """Boosted trees, as many as told most about held rows: in a tuned fold about its own, later the mean of these.

    Small trees learnt slowly where there are few rows; larger ones, which find what goes together, where many.
    """

    def __init__(self, is_binary: bool, rows: int, seed: int) -> None:
        is_large = rows >= MANY_ROWS
        self.most, self.patience = (120, 10) if is_large else (120, 12)
        self.best: list[int] = []
        self.is_binary = is_binary
        self.options = dict(
            learning_rate=0.2 if is_large else 0.12,
            max_leaf_nodes=15 if is_large else 6,
            min_samples_leaf=20,
            l2_regularization=1.0,
            random_state=seed,
        )

    def make(self, x: np.ndarray, **more: Any) -> Any:
        """A model of such covariates: values, or codes of their bins."""
        plain = HistGradientBoostingClassifier if self.is_binary else HistGradientBoostingRegressor
        of_codes = _ChancesOfCodes if self.is_binary else _MeansOfCodes
        return (of_codes if x.dtype == np.uint8 else plain)(**self.options, **more)

    def means(self, x: np.ndarray, y: np.ndarray, unseen: np.ndarray) -> np.ndarray:
        trees = round(sum(self.best) / len(self.best)) if self.best else self.most
        return _predicted(self.make(x, max_iter=trees, early_stopping=False).fit(x, y), unseen)

    def tuned_means(
        self, x: np.ndarray, y: np.ndarray, unseen: np.ndarray, *, held: np.ndarray, known: np.ndarray
    ) -> np.ndarray:
        if not len(known):
            return self.means(x, y, unseen)
        watched = self.make(x, max_iter=self.most, early_stopping=True, n_iter_no_change=self.patience)
        watched.fit(x, y, X_val=unseen[held], y_val=known)
        self.best.append(max(int(np.argmax(watched.validation_score_)), 1))
        is_binary = hasattr(watched, "predict_proba")
        stages = watched.staged_predict_proba(unseen) if is_binary else watched.staged_predict(unseen)
        last = next(islice(stages, self.best[-1] - 1, None))
        return last[:, 1] if is_binary else last


class _LinearThenBoosted:
    """A linear model and a boosted one of what it leaves: trees alone do not follow a slope beyond the data."""

    def __init__(self, rows: int, seed: int) -> None:
        self.boosted = _Boosted(False, rows, seed)

    def means(self, x: np.ndarray, y: np.ndarray, unseen: np.ndarray) -> np.ndarray:
        linear = _ridge().fit(x, y)
        return linear.predict(unseen) + self.boosted.means(x, y - linear.predict(x), unseen)

    def tuned_means(
        self, x: np.ndarray, y: np.ndarray, unseen: np.ndarray, *, held: np.ndarray, known: np.ndarray
    ) -> np.ndarray:
        linear = _ridge().fit(x, y)
        straight = linear.predict(unseen)
        left = known - straight[held]
        return straight + self.boosted.tuned_means(x, y - linear.predict(x), unseen, held=held, known=left)


def _predicted(model: Any, unseen: np.ndarray) -> np.ndarray:
    return model.predict_proba(unseen)[:, 1] if hasattr(model, "predict_proba") else model.predict(unseen)


def _fitted(learn: Callable[..., np.ndarray], x: np.ndarray, y: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Predictions of a model of x and y for rows it has not seen; of a y that is always the same, that value."""
    if not len(y) or np.ptp(y) == 0:
        return np.full(len(unseen), y[0] if len(y) else 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return learn(x, y, unseen)


def _loss(y: np.ndarray, predicted: np.ndarray, is_binary: bool) -> float:
    """Summed log loss, or summed squares."""
    if not is_binary:
        return float(np.square(y - predicted).sum())
    p = np.clip(predicted, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).sum())
